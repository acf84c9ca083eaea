"""The seed: an ISO image labelled cidata, which cloud-init's NoCloud reads."""

import io
from collections.abc import Mapping

import pycdlib

LABEL = "cidata"
# Labels by which guests find what configures them: a drive with one is never cloned.
SEED_LABELS = frozenset({"cidata", "CIDATA", "config-2", "CONFIG-2"})


def make_seed(documents: Mapping[str, bytes]) -> bytes:
    """The image, with one file for each document."""
    iso = pycdlib.PyCdlib()
    iso.new(joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for number, (name, content) in enumerate(sorted(documents.items())):
        iso.add_fp(
            io.BytesIO(content),
            len(content),
            f"/DOC{number}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    image = io.BytesIO()
    iso.write_fp(image)
    iso.close()
    return image.getvalue()
