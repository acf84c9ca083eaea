"""For each row of the table that is about a device, a device that has it."""

from tests.unit.workers.hypervisors.kvm.cases import Case
from tests.unit.workers.hypervisors.kvm.sources import VM


def disk(
    inner: str = "", head: str = "type='file' device='disk'", target: str = "dev='vdb'"
) -> str:
    return f"""
        <disk {head}>
          <driver name='qemu' type='qcow2'/>
          <source file='/images/golden-data.qcow2'/>
          <target {target} bus='virtio'/>{inner}
        </disk>"""


def refused_disk(kind: str, source: str) -> str:
    return f"<disk type='{kind}' device='disk'>{source}<target dev='vdb' bus='virtio'/></disk>"


def drive(inner: str = "", target: str = "dev='sda'") -> str:
    return f"<disk type='file' device='cdrom'><target {target} bus='sata'/>{inner}</disk>"


def nic(inner: str = "", head: str = "type='bridge'") -> str:
    return f"""
        <interface {head}>
          <mac address='52:54:00:00:00:99'/>
          <source bridge='br-gold'/>
          <target dev='vnet42'/>
          <model type='virtio'/>{inner}
        </interface>"""


def port(device: str, inner: str, kind: str = "file") -> str:
    target = " type='virtio' name='org.example.0'" if device == "channel" else " port='0'"
    return f"<{device} type='{kind}'>{inner}<target{target}/></{device}>"


def vnc(attributes: str = "", inner: str = "") -> str:
    return f"<graphics type='vnc' {attributes}>{inner}</graphics>"


_COMMON = {
    "devices": Case(),
    "devices/emulator": Case("<emulator>/opt/gold/qemu</emulator>"),
    "devices/*/alias": Case("<input type='tablet' bus='usb'><alias name='ua-gold'/></input>"),
    "devices/*/address": Case(
        "<input type='tablet' bus='usb'><address type='usb' bus='0' port='1'/></input>"
        + disk("<address type='pci' domain='0' bus='7' slot='0' function='0'/>")
        + nic("<address type='pci' domain='0' bus='2' slot='0' function='0'/>")
    ),
    "devices/*/acpi": Case(nic("<acpi index='1'/>")),
}

_DISKS = {
    "devices/disk": Case(
        disk(), {"devices/disk[2]/source/@file": ["/clones/data.qcow2"]}, "golden-"
    ),
    "devices/disk[device=lun]": Case(disk(head="type='block' device='lun'")),
    "devices/disk[device=cdrom]": Case(
        drive("<source file='/images/gold.iso'/>"),
        {"devices/disk[@device='cdrom']/target/@dev": ["sda"], "devices/disk/source/@dev": []},
        "gold.iso",
    ),
    "devices/disk[device=floppy]": Case(
        "<disk type='file' device='floppy'><source file='/gold.img'/><target dev='fda'/></disk>",
        {"devices/disk[@device='floppy']/target/@dev": ["fda"]},
        "gold.img",
    ),
    "devices/disk[type=network]": Case(
        refused_disk("network", "<source protocol='rbd' name='p/i'/>")
    ),
    "devices/disk[type=nvme]": Case(refused_disk("nvme", "<source type='pci' namespace='1'/>")),
    "devices/disk[type=vhostuser]": Case(refused_disk("vhostuser", "<source path='/vhu.sock'/>")),
    "devices/disk[type=vhostvdpa]": Case(refused_disk("vhostvdpa", "<source dev='/dev/vhost-0'/>")),
    "devices/disk[type=dir]": Case(refused_disk("dir", "<source dir='/srv'/>")),
    "devices/disk@type": Case(
        refused_disk("block", "<source dev='/dev/vg/gold'/>"),
        {"devices/disk[2]/@type": ["file"], "devices/disk[2]/source/@file": ["/clones/data.qcow2"]},
        "/dev/vg/gold",
    ),
    "devices/disk@sgio": Case(disk(head="type='file' device='disk' sgio='unfiltered'")),
    "devices/disk@rawio": Case(disk(head="type='file' device='disk' rawio='yes'")),
    "devices/disk/driver": Case(
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>"
        "<source file='/images/d'/><target dev='vdb' bus='virtio'/></disk>"
    ),
    "devices/disk/driver@type": Case(
        "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
        "<source file='/images/d'/><target dev='vdb' bus='virtio'/></disk>",
        {"devices/disk[2]/driver/@type": ["qcow2"]},
    ),
    "devices/disk/source": Case(
        "<disk type='file' device='disk'><source file='/images/d.raw' startupPolicy='optional'>"
        "<seclabel relabel='no'/></source><target dev='vdb' bus='virtio'/></disk>",
        {
            "devices/disk[2]/source/@file": ["/clones/data.qcow2"],
            "devices/disk[2]/source/@startupPolicy": [],
            "devices/disk[2]/source/*": [],
        },
        "/images/d.raw",
    ),
    **{
        f"devices/disk/source/{name}": Case(
            f"<disk type='file' device='disk'><source file='/images/d'><{name}/></source>"
            "<target dev='vdb' bus='virtio'/></disk>"
        )
        for name in ("encryption", "slices", "dataStore")
    },
    "devices/disk/encryption": Case(disk("<encryption format='luks'/>")),
    "devices/disk/backingStore": Case(
        disk(
            "<backingStore type='file'><format type='raw'/><source file='/images/gold.raw'/>"
            "<backingStore/></backingStore>"
        ),
        {"devices/disk[2]/backingStore/*": []},
        "gold.raw",
    ),
    "devices/disk/mirror": Case(disk("<mirror type='file' job='copy' ready='yes'/>")),
    "devices/disk/auth": Case(drive("<auth username='gold'/>")),
    "devices/disk/target": Case(disk(target="dev='vdb' removable='on'")),
    "devices/disk/target@tray": Case(drive(target="dev='sda' tray='open'")),
    "devices/disk/serial": Case(
        disk("<serial>golden-data</serial>"), {"devices/disk[2]/serial": ["2" * 11]}, "golden-data"
    ),
    "devices/disk/wwn": Case(disk("<wwn>5000c50015ea71aa</wwn>")),
    "devices/disk/vendor": Case(disk("<vendor>MAKER</vendor>")),
    "devices/disk/product": Case(disk("<product>DISK</product>")),
    "devices/disk/iotune": Case(disk("<iotune><total_iops_sec>500</total_iops_sec></iotune>")),
    "devices/disk/throttlefilters": Case(
        disk("<throttlefilters><throttlefilter group='g'/></throttlefilters>")
    ),
    "devices/disk/blockio": Case(disk("<blockio logical_block_size='4096'/>")),
    "devices/disk/geometry": Case(disk("<geometry cyls='1' heads='2' secs='3'/>")),
    "devices/disk/boot": Case(disk("<boot order='2'/>")),
    "devices/disk/readonly": Case(disk("<readonly/>")),
    "devices/disk/shareable": Case(disk("<shareable/>")),
    "devices/disk/transient": Case(disk("<transient/>")),
    "devices/disk/privateData": Case(disk("<privateData><nodenames/></privateData>")),
}

_NICS = {
    "devices/interface": Case(nic(), {"devices/interface/mac/@address": ["fa:00:00:00:00:01"]}),
    "devices/interface[type=hostdev]": Case(nic(head="type='hostdev' managed='yes'")),
    "devices/interface[type=vdpa]": Case(nic(head="type='vdpa'")),
    "devices/interface@type": Case(
        nic(head="type='direct'"), {"devices/interface/@type": ["bridge"]}
    ),
    "devices/interface@managed": Case(nic(head="type='bridge' managed='no'")),
    "devices/interface/mac": Case(
        nic(), {"devices/interface/mac/@address": ["fa:00:00:00:00:01"]}, "52:54:00"
    ),
    "devices/interface/source": Case(
        nic(), {"devices/interface/source/@bridge": ["br-clones"]}, "br-gold"
    ),
    "devices/interface/target": Case(
        nic(), {"devices/interface/target/@dev": ["vnic1.0"]}, "vnet42"
    ),
    "devices/interface/model": Case(nic(), {"devices/interface/model/@type": ["virtio"]}),
    "devices/interface/link": Case(
        nic("<link state='down'/>"), {"devices/interface/link/@state": ["up"]}
    ),
    "devices/interface/bandwidth": Case(
        nic("<bandwidth><inbound average='777'/></bandwidth>"),
        {"devices/interface/bandwidth": []},
        "777",
    ),
    "devices/interface/filterref": Case(
        nic("<filterref filter='f'><parameter name='MAC' value='52:54:00:00:00:99'/></filterref>"),
        {"devices/interface/filterref/parameter/@value": ["fa:00:00:00:00:01"]},
        "52:54:00",
    ),
    "devices/interface/virtualport": Case(
        nic("<virtualport type='openvswitch'><parameters interfaceid='9'/></virtualport>"),
        {"devices/interface/virtualport": []},
    ),
    "devices/interface/vlan": Case(
        nic("<vlan><tag id='42'/></vlan>"), {"devices/interface/vlan": []}
    ),
    "devices/interface/driver": Case(nic("<driver name='vhost' queues='4'/>")),
    "devices/interface/boot": Case(nic("<boot order='1'/>")),
    "devices/interface/rom": Case(nic("<rom bar='off'/>")),
    "devices/interface/mtu": Case(nic("<mtu size='9000'/>")),
    "devices/interface/coalesce": Case(nic("<coalesce><rx/></coalesce>")),
    "devices/interface/tune": Case(nic("<tune><sndbuf>1600</sndbuf></tune>")),
    "devices/interface/port": Case(nic("<port isolated='yes'/>")),
    "devices/interface/script": Case(nic("<script path='/etc/gold-up'/>")),
    "devices/interface/downscript": Case(nic("<downscript path='/etc/gold-down'/>")),
    "devices/interface/backend": Case(nic("<backend tap='/dev/net/tun'/>")),
    "devices/interface/guest": Case(nic("<guest dev='eth0'/>")),
    "devices/interface/ip": Case(nic("<ip address='10.0.2.15' prefix='24'/>", "type='user'")),
    "devices/interface/route": Case(nic("<route gateway='10.0.2.2'/>", "type='user'")),
    "devices/interface/portForward": Case(nic("<portForward proto='tcp'/>", "type='user'")),
    "devices/interface/teaming": Case(nic("<teaming type='persistent'/>")),
}


def _port_cases(device: str) -> dict[str, Case]:
    path = f"devices/{device}"
    made = "unix" if device == "channel" else "pty"
    source = "<source path='/var/gold.out'/>"
    log = "<log file='/var/log/gold.log' append='on'/>"
    name = "serial0" if device == "console" else f"{device}0"
    return {
        path: Case(
            port(device, source), {f"{path}/target/@port": ["0"]} if device != "channel" else {}
        ),
        f"{path}@type": Case(port(device, source), {f"{path}/@type": [made]}),
        f"{path}@tty": Case(
            f"<{device} type='pty' tty='/dev/pts/7'><target type='virtio' port='0'/></{device}>"
        ),
        f"{path}/source": Case(port(device, source), {f"{path}/source/@path": []}, "/var/gold.out"),
        f"{path}/log": Case(
            port(device, log, "pty"), {f"{path}/log/@file": [f"/logs/{VM}-{name}.log"]}, "gold.log"
        ),
        f"{path}/protocol": Case(
            port(
                device,
                "<source mode='bind' host='::1' service='23'/><protocol type='telnet'/>",
                "tcp",
            )
        ),
        f"{path}/target": Case(port(device, source)),
    }


_CHANNELS = {
    **_port_cases("serial"),
    **_port_cases("parallel"),
    **_port_cases("console"),
    **_port_cases("channel"),
    "devices/channel/target[type=guestfwd]": Case(
        "<channel type='pty'><target type='guestfwd' address='10.0.2.1' port='4600'/></channel>"
    ),
    "devices/channel/target@state": Case(
        "<channel type='unix'><target type='virtio' name='a' state='connected'/></channel>"
    ),
    "devices/smartcard[mode=host]": Case("<smartcard mode='host'/>"),
    "devices/smartcard[mode=host-certificates]": Case("<smartcard mode='host-certificates'/>"),
    "devices/smartcard[type=spicevmc]": Case("<smartcard mode='passthrough' type='spicevmc'/>"),
    "devices/smartcard": Case("<smartcard mode='passthrough' type='tcp'/>"),
    "devices/redirdev[type=spicevmc]": Case("<redirdev bus='usb' type='spicevmc'/>"),
    "devices/redirdev": Case("<redirdev bus='usb' type='tcp'><source host='gold'/></redirdev>"),
    "devices/redirfilter": Case("<redirfilter><usbdev allow='no'/></redirfilter>"),
}

_DISPLAYS = {
    "devices/graphics": Case(vnc("port='5901'"), {"devices/graphics/@type": ["vnc"]}, "5901"),
    "devices/graphics[type=sdl]": Case("<graphics type='sdl' display=':0'/>"),
    "devices/graphics[type=desktop]": Case("<graphics type='desktop' display=':0'/>"),
    "devices/graphics@port": Case(vnc("port='5901'"), {"devices/graphics/@port": ["-1"]}, "5901"),
    "devices/graphics@tlsPort": Case(
        "<graphics type='spice' port='5901' tlsPort='5902'/>",
        {"devices/graphics/@tlsPort": [], "devices/graphics/@autoport": ["yes"]},
        "5902",
    ),
    "devices/graphics@websocket": Case(
        vnc("websocket='5700'"), {"devices/graphics/@websocket": ["-1"]}, "5700"
    ),
    "devices/graphics@autoport": Case(
        vnc("port='5901' autoport='no'"), {"devices/graphics/@autoport": ["yes"]}
    ),
    "devices/graphics@username": Case("<graphics type='rdp' username='gold'/>"),
    "devices/graphics@passwd": Case(vnc("passwd='gold'")),
    "devices/graphics@passwdValidTo": Case(vnc("passwdValidTo='2030-01-01T00:00:00'")),
    "devices/graphics@connected": Case(vnc("connected='keep'")),
    "devices/graphics@socket": Case(vnc("socket='/run/gold.sock'")),
    "devices/graphics@address": Case("<graphics type='dbus' address='unix:path=/run/gold'/>"),
    "devices/graphics/listen": Case(vnc("", "<listen type='address' address='127.0.0.1'/>")),
    "devices/graphics/listen@socket": Case(vnc("", "<listen type='socket' socket='/run/gold'/>")),
    **{
        f"devices/graphics/{name}": Case(f"<graphics type='spice'><{name} mode='off'/></graphics>")
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
    },
    "devices/video": Case("<video><model type='qxl' vram='65536'/></video>"),
    "devices/sound": Case("<sound model='ich9'><codec type='micro'/></sound>"),
    "devices/audio": Case(
        "<audio id='3' type='alsa'><input dev='gold'/></audio>",
        {"devices/audio/@type": ["none"], "devices/audio/@id": ["3"], "devices/audio/*": []},
        "gold'",
    ),
}


def tpm(backend: str) -> str:
    return f"<tpm model='tpm-crb'>{backend}</tpm>"


def module(model: str, inner: str = "<target><size unit='KiB'>524288</size></target>") -> str:
    return f"<memory model='{model}'>{inner}</memory>"


_OTHERS = {
    "devices/controller": Case("<controller type='scsi' index='0' model='virtio-scsi'/>"),
    "devices/input[type=evdev]": Case("<input type='evdev'><source dev='/dev/input/1'/></input>"),
    "devices/input[type=passthrough]": Case("<input type='passthrough' bus='virtio'/>"),
    "devices/input": Case("<input type='tablet' bus='usb'/>"),
    "devices/hub": Case("<hub type='usb'/>"),
    "devices/rng": Case("<rng model='virtio'/>"),
    "devices/rng/driver": Case("<rng model='virtio'><driver iommu='on'/></rng>"),
    "devices/rng/rate": Case("<rng model='virtio'><rate bytes='1024' period='1000'/></rng>"),
    "devices/rng/backend[model=egd]": Case(
        "<rng model='virtio'><backend model='egd' type='tcp'><source host='gold'/></backend></rng>",
        {"devices/rng/backend": ["/dev/urandom"], "devices/rng/backend/@model": ["random"]},
        "egd",
    ),
    "devices/rng/backend": Case(
        "<rng model='virtio'><backend model='random'>/dev/random</backend></rng>"
    ),
    "devices/tpm": Case(
        tpm("<backend type='emulator' version='2.0'/>"),
        {"devices/tpm/@model": ["tpm-crb"], "devices/tpm/backend/@version": ["2.0"]},
    ),
    "devices/tpm/backend[type=emulator]": Case(tpm("<backend type='emulator' version='2.0'/>")),
    "devices/tpm/backend[type=passthrough]": Case(tpm("<backend type='passthrough'/>")),
    "devices/tpm/backend[type=external]": Case(tpm("<backend type='external'/>")),
    "devices/tpm/backend/active_pcr_banks": Case(
        tpm("<backend type='emulator'><active_pcr_banks><sha256/></active_pcr_banks></backend>")
    ),
    "devices/tpm/backend/profile": Case(
        tpm("<backend type='emulator'><profile name='default-v1'/></backend>")
    ),
    "devices/tpm/backend/encryption": Case(
        tpm("<backend type='emulator'><encryption secret='6dd3e4a5'/></backend>")
    ),
    "devices/tpm/backend/source": Case(
        tpm("<backend type='emulator'><source type='dir' path='/var/gold'/></backend>")
    ),
    "devices/memory[model=nvdimm]": Case(module("nvdimm", "<source><path>/gold</path></source>")),
    "devices/memory[model=virtio-pmem]": Case(module("virtio-pmem")),
    "devices/memory": Case(module("dimm")),
    "devices/memory/target": Case(module("virtio-mem")),
    "devices/memory/source": Case(module("dimm", "<source/>")),
    "devices/memory/source/pagesize": Case(
        module("dimm", "<source><pagesize unit='KiB'>2048</pagesize></source>")
    ),
    "devices/memory/source/nodemask": Case(
        module("dimm", "<source><nodemask>0</nodemask></source>")
    ),
    "devices/vsock": Case("<vsock model='virtio'/>"),
    "devices/vsock/cid": Case(
        "<vsock model='virtio'><cid auto='no' address='4177'/></vsock>",
        {"devices/vsock/cid/@auto": ["yes"], "devices/vsock/cid/@address": []},
        "4177",
    ),
    "devices/vsock/driver": Case("<vsock model='virtio'><driver iommu='on'/></vsock>"),
    "devices/memballoon": Case("<memballoon model='virtio'><stats period='10'/></memballoon>"),
    "devices/watchdog": Case("<watchdog model='i6300esb' action='reset'/>"),
    "devices/panic": Case("<panic model='isa'/>"),
    "devices/iommu": Case("<iommu model='intel'><driver intremap='on'/></iommu>"),
    "devices/crypto": Case("<crypto model='virtio' type='qemu'/>"),
    "devices/nvram": Case("<nvram/>"),
    "devices/pstore": Case("<pstore backend='acpi-erst'><path>/gold</path></pstore>"),
    "devices/lease": Case("<lease><key>gold</key></lease>"),
    "devices/hostdev": Case("<hostdev mode='subsystem' type='pci'/>"),
    "devices/filesystem": Case("<filesystem type='mount'><source dir='/srv'/></filesystem>"),
    "devices/shmem": Case("<shmem name='gold'/>"),
    "devices/*": Case("<teleporter model='mk2'/>"),
}

DEVICE_CASES: dict[str, Case] = {
    **_COMMON,
    **_DISKS,
    **_NICS,
    **_CHANNELS,
    **_DISPLAYS,
    **_OTHERS,
}
