"""Primary storages. `open_storage` knows which driver serves which type."""

from app.domain.plan import StorageRef, StorageType
from app.settings import Settings
from workers.storage.base import Storage
from workers.storage.local import LocalStorage
from workers.storage.simulator import SimulatorStorage


def open_storage(storage: StorageRef, settings: Settings) -> Storage:
    if storage.type is StorageType.SIMULATOR:
        return SimulatorStorage(storage, settings)
    return LocalStorage(storage)
