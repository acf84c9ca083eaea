"""The rows of the table that are about devices."""

from workers.hypervisors.kvm.element_table import (
    Action,
    Row,
    When,
    dropped,
    kept,
    refused,
    rewritten,
)

_SAME_DEVICE = "the guest is to find the same device"
_HOST_DEVICE = "a device of the host can serve one guest only"
_HOST_NETWORK = "it describes the host's side of the source's network"
_HOST_CHANNEL = "it would be the source's channel to the host"
_CHARACTER_DEVICES = ("serial", "parallel", "console", "channel")

_COMMON = (
    kept("devices", "by the rows of each device"),
    dropped("devices/emulator", "libvirt knows the host's"),
    dropped("devices/*/alias", "libvirt names the devices; ua- names are the source's owner's"),
    kept("devices/*/address", "the guest is to find its devices in the same slots"),
    kept("devices/*/acpi", "the guest names its NICs by it"),
)

_DISKS = (
    refused("devices/disk[device=lun]", "commands of the guest would reach the source's device"),
    rewritten("devices/disk[device=cdrom]", "the drive, with the clone's seed or image or empty"),
    rewritten("devices/disk[device=floppy]", "the drive, empty"),
    refused("devices/disk[type=network]", "vmclone copies files and block devices only"),
    refused("devices/disk[type=nvme]", _HOST_DEVICE),
    refused("devices/disk[type=vhostuser]", "it belongs to another program of the host"),
    refused("devices/disk[type=vhostvdpa]", _HOST_DEVICE),
    refused("devices/disk[type=dir]", "a folder of the host is no volume"),
    rewritten("devices/disk", "the clone's volume; what is not cloned is left out"),
    rewritten("devices/disk@type", "a file"),
    dropped("devices/disk@sgio", "only passed-through devices have it"),
    dropped("devices/disk@rawio", "only passed-through devices have it"),
    kept("devices/disk/driver", "caching, threads and discards as the source has them"),
    rewritten("devices/disk/driver@type", "the format of the clone's volume"),
    rewritten("devices/disk/source", "the clone's file"),
    refused("devices/disk/source/encryption", "libvirt holds the keys of the source alone"),
    refused("devices/disk/source/slices", "a part of a file is no volume"),
    refused("devices/disk/source/dataStore", "the content lies in a second file"),
    refused("devices/disk/encryption", "libvirt holds the keys of the source alone"),
    rewritten("devices/disk/backingStore", "what the clone's volume stands on, or nothing"),
    dropped("devices/disk/mirror", "a copy under way is the source's"),
    dropped("devices/disk/auth", "a login of the source's medium"),
    kept("devices/disk/target", "the guest is to find its disks on the same bus"),
    dropped("devices/disk/target@tray", "the clone's drive is closed"),
    rewritten("devices/disk/serial", "where it names the source's volume; guests mount by others"),
    kept("devices/disk/wwn", "guests mount by it, and no two guests share a bus"),
    kept("devices/disk/vendor", _SAME_DEVICE),
    kept("devices/disk/product", _SAME_DEVICE),
    kept("devices/disk/iotune", "a limit that holds for each clone as well"),
    kept("devices/disk/throttlefilters", "a limit that holds for each clone as well"),
    kept("devices/disk/blockio", _SAME_DEVICE),
    kept("devices/disk/geometry", _SAME_DEVICE),
    kept("devices/disk/boot", _SAME_DEVICE),
    kept("devices/disk/readonly", _SAME_DEVICE),
    dropped(
        "devices/disk/shareable",
        "and its disk with it: whoever else writes it knows nothing of a clone",
        noted=True,
    ),
    kept("devices/disk/transient", _SAME_DEVICE),
    dropped("devices/disk/privateData", "libvirt's notes on a running disk"),
)

_NICS = (
    refused("devices/interface[type=hostdev]", _HOST_DEVICE),
    refused("devices/interface[type=vdpa]", _HOST_DEVICE),
    rewritten("devices/interface", "a NIC of the clone's, in the slot of the source's"),
    rewritten("devices/interface@type", "bridge or network"),
    dropped("devices/interface@managed", _HOST_NETWORK),
    rewritten("devices/interface/mac", "the clone's"),
    rewritten("devices/interface/source", "the clone's bridge or network"),
    rewritten("devices/interface/target", "the clone's tap, never the source's"),
    rewritten("devices/interface/model", "the clone's, else the source's"),
    rewritten("devices/interface/link", "the clone's"),
    rewritten("devices/interface/bandwidth", "the clone's"),
    rewritten("devices/interface/filterref", "the same filter, for the clone's MAC and addresses"),
    rewritten("devices/interface/virtualport", "Open vSwitch's, without a port id, on its bridge"),
    rewritten("devices/interface/vlan", "the source's, on the source's bridge or network"),
    kept("devices/interface/driver", _SAME_DEVICE),
    kept("devices/interface/boot", _SAME_DEVICE),
    kept("devices/interface/rom", _SAME_DEVICE),
    kept("devices/interface/mtu", _SAME_DEVICE),
    kept("devices/interface/coalesce", _SAME_DEVICE),
    kept("devices/interface/tune", _SAME_DEVICE),
    kept("devices/interface/port", "isolated, as the source"),
    dropped("devices/interface/script", _HOST_NETWORK, noted=True),
    dropped("devices/interface/downscript", _HOST_NETWORK, noted=True),
    dropped("devices/interface/backend", _HOST_NETWORK),
    dropped("devices/interface/guest", "of containers"),
    dropped("devices/interface/ip", "of containers and user networks"),
    dropped("devices/interface/route", "of containers and user networks"),
    dropped("devices/interface/portForward", "the host's ports are the source's", noted=True),
    dropped("devices/interface/teaming", "its partner is a device of the host", noted=True),
)


def _character_device(device: str) -> tuple[Row, ...]:
    path = f"devices/{device}"
    return (
        rewritten(path, "the guest's side stays; the host's is the clone's own"),
        rewritten(f"{path}@type", "what needs no path or port of the source's"),
        dropped(f"{path}@tty", "the terminal of the running source"),
        rewritten(f"{path}/source", "libvirt makes one"),
        rewritten(f"{path}/log", "a file named by the clone's uuid, where logs are kept"),
        dropped(f"{path}/protocol", "of a port of the host"),
        kept(f"{path}/target", _SAME_DEVICE),
    )


_CHANNELS = (
    dropped(
        "devices/channel/target[type=guestfwd]",
        "and its channel with it: it forwards to a service of the source's",
        noted=True,
    ),
    *(row for device in _CHARACTER_DEVICES for row in _character_device(device)),
    dropped("devices/channel/target@state", "of the running source"),
    refused("devices/smartcard[mode=host]", _HOST_DEVICE),
    refused("devices/smartcard[mode=host-certificates]", "the certificates are the source's"),
    kept("devices/smartcard[type=spicevmc]", _SAME_DEVICE),
    refused("devices/smartcard", _HOST_CHANNEL),
    kept("devices/redirdev[type=spicevmc]", _SAME_DEVICE),
    dropped("devices/redirdev", _HOST_CHANNEL, noted=True),
    kept("devices/redirfilter", _SAME_DEVICE),
)

_DISPLAYS = (
    dropped("devices/graphics[type=sdl]", "a window on the source's host", noted=True),
    dropped("devices/graphics[type=desktop]", "a window on the source's host", noted=True),
    rewritten("devices/graphics", "on the same address, with a free port"),
    *(
        rewritten(f"devices/graphics@{name}", "libvirt finds a free one")
        for name in ("port", "tlsPort", "websocket", "autoport")
    ),
    *(
        dropped(f"devices/graphics@{name}", "a login of the source's")
        for name in ("username", "passwd", "passwdValidTo", "connected")
    ),
    dropped("devices/graphics@socket", _HOST_CHANNEL),
    dropped("devices/graphics@address", _HOST_CHANNEL),
    kept("devices/graphics/listen", "who may reach the source's console may reach the clone's"),
    dropped("devices/graphics/listen@socket", "libvirt makes one"),
    *(
        kept(f"devices/graphics/{name}", _SAME_DEVICE)
        for name in (
            "channel",
            "image",
            "jpeg",
            "zlib",
            "playback",
            "streaming",
            "clipboard",
            "mouse",
            "filetransfer",
            "gl",
            "audio",
        )
    ),
    kept("devices/video", _SAME_DEVICE),
    kept("devices/sound", _SAME_DEVICE),
    rewritten("devices/audio", "to SPICE as the source; the host's own sound plays one guest's"),
)

_OTHERS = (
    kept("devices/controller", _SAME_DEVICE),
    refused("devices/input[type=evdev]", _HOST_DEVICE),
    refused("devices/input[type=passthrough]", _HOST_DEVICE),
    kept("devices/input", _SAME_DEVICE),
    kept("devices/hub", _SAME_DEVICE),
    kept("devices/rng", _SAME_DEVICE),
    kept("devices/rng/driver", _SAME_DEVICE),
    kept("devices/rng/rate", "a limit that holds for each clone as well"),
    rewritten("devices/rng/backend[model=egd]", "the host's /dev/urandom: a socket is one guest's"),
    kept("devices/rng/backend", _SAME_DEVICE),
    rewritten("devices/tpm", "with a state of the clone's own, or none at all"),
    kept("devices/tpm/backend[type=emulator]", _SAME_DEVICE),
    refused("devices/tpm/backend[type=passthrough]", _HOST_DEVICE),
    refused("devices/tpm/backend[type=external]", "it belongs to another program of the host"),
    kept("devices/tpm/backend/active_pcr_banks", _SAME_DEVICE),
    kept("devices/tpm/backend/profile", _SAME_DEVICE),
    kept("devices/tpm/backend/encryption", "a copied state needs its key", When.TPM_COPIED),
    dropped("devices/tpm/backend/source", "libvirt has a place for each domain's state"),
    refused("devices/memory[model=nvdimm]", "its content lies in a file of the host"),
    refused("devices/memory[model=virtio-pmem]", "its content lies in a file of the host"),
    kept(
        "devices/memory",
        "it is a part of the memory; a clone has to ask for as much",
        When.SAME_MEMORY,
        otherwise=Action.REFUSED,
    ),
    kept("devices/memory/target", _SAME_DEVICE),
    kept("devices/memory/source", _SAME_DEVICE),
    kept("devices/memory/source/pagesize", _SAME_DEVICE),
    kept("devices/memory/source/nodemask", "clones would crowd the NUMA nodes", When.PINNING),
    kept("devices/vsock", _SAME_DEVICE),
    rewritten("devices/vsock/cid", "libvirt finds a free one: a context id is unique on a host"),
    kept("devices/vsock/driver", _SAME_DEVICE),
    kept("devices/memballoon", _SAME_DEVICE),
    kept("devices/watchdog", _SAME_DEVICE),
    kept("devices/panic", _SAME_DEVICE),
    kept("devices/iommu", _SAME_DEVICE),
    kept("devices/crypto", _SAME_DEVICE),
    kept("devices/nvram", "a model, without content"),
    dropped("devices/pstore", "a file with the source's last words", noted=True),
    dropped("devices/lease", "a lock that the source holds", noted=True),
    refused("devices/hostdev", _HOST_DEVICE),
    refused("devices/filesystem", "a folder of the host would be shared with the source"),
    refused("devices/shmem", "memory would be shared with the source"),
    refused("devices/*", "vmclone does not know this device, and the guest may need it"),
)

DEVICE_ROWS: tuple[Row, ...] = (*_COMMON, *_DISKS, *_NICS, *_CHANNELS, *_DISPLAYS, *_OTHERS)
