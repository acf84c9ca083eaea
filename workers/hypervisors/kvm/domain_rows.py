"""The rows of the table that are about the machine itself; device_rows.py has its devices."""

from workers.hypervisors.kvm.element_table import (
    Action,
    Row,
    When,
    dropped,
    kept,
    refused,
    rewritten,
)

_SAME_MACHINE = "the guest is to find the same machine"
_SHARED_FILE = "a file of the host that guests only read"
_LIMIT = "a limit that holds for each clone as well"
_CROWD = "clones on the source's CPUs or NUMA nodes would crowd them"
_OTHER_VCPUS = "it names vCPUs by number"

_IDENTITY = (
    dropped("@id", "the number of a running domain"),
    rewritten("@type", "kvm, or qemu where the host has no hardware virtualisation"),
    rewritten("name", "the clone's uuid: unique on a host, and fit for file names"),
    rewritten("uuid", "the clone's own"),
    dropped("hwuuid", "the guest finds the clone's uuid in its SMBIOS"),
    rewritten("genid", "empty, so that libvirt makes a fresh one: the guest learns of the copy"),
    rewritten("title", "the VM's name"),
    dropped("description", "it describes the source"),
    rewritten("metadata", "vmclone's own element alone: what others wrote is about the source"),
    kept("sysinfo[type=smbios]", _SAME_MACHINE),
    kept("sysinfo/bios", _SAME_MACHINE),
    kept("sysinfo/system", _SAME_MACHINE),
    rewritten(
        "sysinfo/system/entry[name=uuid]", "the clone's: libvirt wants it to be the domain's"
    ),
    rewritten(
        "sysinfo/system/entry[name=serial]", "the clone's uuid; licences and seeds look here"
    ),
    kept("sysinfo/system/entry", "maker, product, version, SKU and family name a kind of machine"),
    kept("sysinfo/baseBoard", _SAME_MACHINE),
    rewritten("sysinfo/baseBoard/entry[name=serial]", "the clone's uuid"),
    kept("sysinfo/baseBoard/entry", "it names a kind of machine"),
    kept("sysinfo/chassis", _SAME_MACHINE),
    rewritten("sysinfo/chassis/entry[name=serial]", "the clone's uuid"),
    kept("sysinfo/chassis/entry", "guests recognise their platform by it, asset tag included"),
    dropped(
        "sysinfo/oemStrings",
        "it hands one machine its own values, such as systemd's credentials",
        noted=True,
    ),
    dropped(
        "sysinfo[type=fwcfg]", "it hands one machine its own values, such as Ignition's", noted=True
    ),
)

_SIZE = (
    rewritten("memory", "as the clone's row says"),
    rewritten("currentMemory", "the source's balloon where the memory is the same, else all of it"),
    kept(
        "maxMemory",
        "memory is plugged in up to it; a clone has to ask for as much at its start",
        When.SAME_MEMORY,
        otherwise=Action.REFUSED,
    ),
    kept("memoryBacking", _SAME_MACHINE),
    kept("memtune", _LIMIT, When.SAME_MEMORY, noted=True),
    rewritten("vcpu", "as the clone's row says"),
    kept("vcpu@current", "some are plugged in later", When.SAME_VCPUS),
    kept("vcpu@placement", _CROWD, When.PINNING),
    kept("vcpu@cpuset", _CROWD, When.PINNING),
    kept("vcpus", _OTHER_VCPUS, When.SAME_VCPUS, noted=True),
    kept("iothreads", _SAME_MACHINE),
    kept("iothreadids", _SAME_MACHINE),
    kept("defaultiothread", _SAME_MACHINE),
    kept("throttlegroups", _LIMIT),
    kept("blkiotune", _LIMIT),
    kept("blkiotune/weight", _LIMIT),
    dropped("blkiotune/device", "it names a block device of the source's host", noted=True),
    kept("cputune", _LIMIT),
    *(
        kept(f"cputune/{name}", _LIMIT)
        for name in (
            "shares",
            "period",
            "quota",
            "global_period",
            "global_quota",
            "emulator_period",
            "emulator_quota",
            "iothread_period",
            "iothread_quota",
        )
    ),
    kept("cputune/vcpupin", _CROWD, When.PINNING, When.SAME_VCPUS),
    kept("cputune/emulatorpin", _CROWD, When.PINNING),
    kept("cputune/iothreadpin", _CROWD, When.PINNING),
    kept("cputune/vcpusched", "unpinned it starves the host", When.PINNING, When.SAME_VCPUS),
    kept("cputune/emulatorsched", "unpinned it starves the host", When.PINNING),
    kept("cputune/iothreadsched", "unpinned it starves the host", When.PINNING),
    kept("cputune/cachetune", "a share of the host's cache", When.PINNING, When.SAME_VCPUS),
    kept("cputune/memorytune", "a share of the host's bandwidth", When.PINNING, When.SAME_VCPUS),
    kept("numatune", _CROWD, When.PINNING),
    dropped("resource", "it names a control group of the source's host", noted=True),
)

_CPU = (
    kept("cpu", _SAME_MACHINE),
    rewritten(
        "cpu@mode", "the host's CPU becomes the emulation's best where the clone is emulated"
    ),
    kept("cpu/model", _SAME_MACHINE),
    kept("cpu/vendor", _SAME_MACHINE),
    kept("cpu/topology", "it multiplies up to the vCPUs", When.SAME_VCPUS, noted=True),
    kept("cpu/cache", _SAME_MACHINE),
    kept("cpu/maxphysaddr", _SAME_MACHINE),
    kept("cpu/feature", _SAME_MACHINE),
    kept(
        "cpu/numa",
        "its cells add up to memory and vCPUs; a clone has to ask for as much of both",
        When.SAME_MEMORY,
        When.SAME_VCPUS,
        otherwise=Action.REFUSED,
    ),
)

_FIRMWARE = (
    kept("os", _SAME_MACHINE),
    kept("os/type", "architecture and machine type, the version included"),
    kept("os/firmware", _SAME_MACHINE),
    kept("os/loader[readonly=yes]", _SHARED_FILE),
    refused("os/loader[type=pflash]", "code and variables in one file that the guest writes"),
    kept("os/loader", _SHARED_FILE),
    refused("os/nvram[type=network]", "variables on a network disk"),
    rewritten("os/nvram", "a file of the clone's own"),
    kept("os/nvram@template", "where libvirt makes the clone's variables from, if need be"),
    rewritten("os/nvram@type", "a file"),
    rewritten("os/nvram/source", "the clone's file"),
    refused("os/varstore", "vmclone does not copy this store of UEFI variables"),
    kept("os/kernel", _SHARED_FILE),
    kept("os/initrd", _SHARED_FILE),
    kept("os/cmdline", "the kernel boots with it; what it says of names and addresses stays"),
    kept("os/dtb", _SHARED_FILE),
    kept("os/shim", _SHARED_FILE),
    kept("os/acpi", _SHARED_FILE),
    kept("os/boot", _SAME_MACHINE),
    kept("os/bootmenu", _SAME_MACHINE),
    kept("os/bios", _SAME_MACHINE),
    kept("os/smbios", _SAME_MACHINE),
)

_BEHAVIOUR = (
    kept("features", _SAME_MACHINE),
    kept("clock", _SAME_MACHINE),
    kept("on_poweroff", _SAME_MACHINE),
    kept("on_reboot", _SAME_MACHINE),
    kept("on_crash", _SAME_MACHINE),
    kept("on_lockfailure", _SAME_MACHINE),
    kept("pm", _SAME_MACHINE),
    dropped("perf", "somebody watches the source on its host"),
    dropped("seclabel[type=static]", "its label is the source's alone; libvirt makes one"),
    kept("seclabel[type=none]", "unconfined, as the source"),
    kept("seclabel", "libvirt makes a label for each domain"),
    kept("seclabel/baselabel", "what libvirt makes the label from"),
    dropped("seclabel/label", "what libvirt made for the source"),
    dropped("seclabel/imagelabel", "what libvirt made for the source"),
    refused("launchSecurity", "an encrypted guest is bound to its own launch"),
    refused("qemu:commandline", "nobody knows what QEMU's own arguments name"),
    refused("qemu:override", "nobody knows what QEMU's own properties change"),
    refused("qemu:capabilities", "nobody knows what is missing without them"),
    dropped("qemu:deprecation", "it says how the source's start reports old features"),
)

DOMAIN_ROWS: tuple[Row, ...] = (*_IDENTITY, *_SIZE, *_CPU, *_FIRMWARE, *_BEHAVIOUR)
