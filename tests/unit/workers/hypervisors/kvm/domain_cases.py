"""For each row of the table that is about the machine itself, a machine that has it."""

from tests.unit.workers.hypervisors.kvm.cases import Case
from tests.unit.workers.hypervisors.kvm.sources import DASHED, VM


def smbios(block: str) -> str:
    return f"<sysinfo type='smbios'>{block}</sysinfo>"


_IDENTITY = {
    "@id": Case(attributes="type='kvm' id='7'"),
    "@type": Case(attributes="type='qemu'", becomes={"@type": ["kvm"]}),
    "name": Case("<name>golden-9</name>", {"name": [VM]}, "golden-9"),
    "uuid": Case("<uuid>11111111-2222-4333-8444-555555555555</uuid>", {"uuid": [DASHED]}, "555555"),
    "hwuuid": Case("<hwuuid>11111111-2222-4333-8444-555555555555</hwuuid>"),
    "genid": Case("<genid>e3a208e6-26dc-4b19-b387-163f6a5949c0</genid>", {"genid": [""]}, "e3a208"),
    "title": Case("<title>the golden one</title>", {"title": ["web-001"]}, "the golden one"),
    "description": Case("<description>do not touch</description>"),
    "metadata": Case(
        "<metadata><a:b xmlns:a='https://a.example/1'>theirs</a:b></metadata>",
        {
            "metadata/vmclone:clone/@vm": [VM],
            "metadata/vmclone:clone/@item": ["b" * 32],
            "metadata/vmclone:clone/@job": ["a" * 32],
        },
        "theirs",
    ),
    "sysinfo[type=smbios]": Case(smbios("")),
    "sysinfo/bios": Case(smbios("<bios><entry name='vendor'>Maker</entry></bios>")),
    "sysinfo/system": Case(smbios("<system/>")),
    "sysinfo/system/entry": Case(smbios("<system><entry name='sku'>S</entry></system>")),
    "sysinfo/baseBoard": Case(smbios("<baseBoard/>")),
    "sysinfo/baseBoard/entry": Case(smbios("<baseBoard><entry name='asset'>A</entry></baseBoard>")),
    "sysinfo/chassis": Case(smbios("<chassis/>")),
    "sysinfo/chassis/entry": Case(smbios("<chassis><entry name='asset'>A</entry></chassis>")),
    **{
        f"sysinfo/{block}/entry[name={name}]": Case(
            smbios(f"<{block}><entry name='{name}'>gold-1</entry></{block}>"),
            {f"sysinfo/{block}/entry[@name='{name}']": [DASHED]},
            "gold-1",
        )
        for block, name in (
            ("system", "uuid"),
            ("system", "serial"),
            ("baseBoard", "serial"),
            ("chassis", "serial"),
        )
    },
    "sysinfo/oemStrings": Case(smbios("<oemStrings><entry>secret</entry></oemStrings>")),
    "sysinfo[type=fwcfg]": Case(
        "<sysinfo type='fwcfg'><entry name='opt/com.coreos/config' file='/etc/gold.ign'/></sysinfo>"
    ),
}

_SIZE = {
    "memory": Case("<memory unit='MiB'>1024</memory>", {"memory": ["1048576"]}),
    "currentMemory": Case(
        "<currentMemory unit='MiB'>512</currentMemory>", {"currentMemory": ["524288"]}
    ),
    "maxMemory": Case("<maxMemory slots='4' unit='GiB'>8</maxMemory>"),
    "memoryBacking": Case("<memoryBacking><hugepages/></memoryBacking>"),
    "memtune": Case("<memtune><hard_limit unit='GiB'>2</hard_limit></memtune>"),
    "vcpu": Case("<vcpu>2</vcpu>", {"vcpu": ["2"]}),
    "vcpu@current": Case("<vcpu current='2'>4</vcpu>"),
    "vcpu@placement": Case("<vcpu placement='auto'>2</vcpu>"),
    "vcpu@cpuset": Case("<vcpu cpuset='0-1'>2</vcpu>"),
    "vcpus": Case("<vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/></vcpus>"),
    "iothreads": Case("<iothreads>2</iothreads>"),
    "iothreadids": Case("<iothreadids><iothread id='5'/></iothreadids>"),
    "defaultiothread": Case("<defaultiothread thread_pool_min='4'/>"),
    "throttlegroups": Case("<throttlegroups><throttlegroup/></throttlegroups>"),
    "blkiotune": Case("<blkiotune/>"),
    "blkiotune/weight": Case("<blkiotune><weight>500</weight></blkiotune>"),
    "blkiotune/device": Case(
        "<blkiotune><device><path>/dev/sda</path><weight>500</weight></device></blkiotune>"
    ),
    "cputune": Case("<cputune/>"),
    **{
        f"cputune/{name}": Case(f"<cputune><{name}>1000</{name}></cputune>")
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
    },
    "cputune/vcpupin": Case("<cputune><vcpupin vcpu='0' cpuset='3'/></cputune>"),
    "cputune/emulatorpin": Case("<cputune><emulatorpin cpuset='3'/></cputune>"),
    "cputune/iothreadpin": Case("<cputune><iothreadpin iothread='1' cpuset='3'/></cputune>"),
    "cputune/vcpusched": Case("<cputune><vcpusched scheduler='fifo' priority='1'/></cputune>"),
    "cputune/emulatorsched": Case("<cputune><emulatorsched scheduler='rr'/></cputune>"),
    "cputune/iothreadsched": Case("<cputune><iothreadsched scheduler='batch'/></cputune>"),
    "cputune/cachetune": Case("<cputune><cachetune vcpus='0-1'/></cputune>"),
    "cputune/memorytune": Case("<cputune><memorytune vcpus='0-1'/></cputune>"),
    "numatune": Case("<numatune><memory mode='strict' nodeset='0'/></numatune>"),
    "resource": Case("<resource><partition>/gold</partition></resource>"),
    "cpu": Case("<cpu mode='custom' match='exact'/>"),
    "cpu@mode": Case("<cpu mode='host-model'/>", {"cpu/@mode": ["host-model"]}),
    "cpu/model": Case("<cpu mode='custom'><model fallback='forbid'>Haswell</model></cpu>"),
    "cpu/vendor": Case("<cpu mode='custom'><vendor>Intel</vendor></cpu>"),
    "cpu/topology": Case("<cpu><topology sockets='2' cores='1' threads='1'/></cpu>"),
    "cpu/cache": Case("<cpu mode='host-passthrough'><cache mode='passthrough'/></cpu>"),
    "cpu/maxphysaddr": Case("<cpu mode='host-passthrough'><maxphysaddr mode='emulate'/></cpu>"),
    "cpu/feature": Case("<cpu mode='host-model'><feature policy='disable' name='vmx'/></cpu>"),
    "cpu/numa": Case(
        "<cpu><numa><cell id='0' cpus='0-1' memory='1048576' unit='KiB'/></numa></cpu>"
    ),
}


def system(inner: str) -> str:
    return f"<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>{inner}</os>"


_FIRMWARE = {
    "os": Case("<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"),
    "os/type": Case("<os><type arch='aarch64' machine='virt-7.2'>hvm</type></os>"),
    "os/firmware": Case(system("<firmware><feature enabled='no' name='secure-boot'/></firmware>")),
    "os/loader[readonly=yes]": Case(
        system("<loader readonly='yes' secure='yes' type='pflash'>/fw/CODE.fd</loader>")
    ),
    "os/loader[type=pflash]": Case(system("<loader type='pflash'>/fw/gold.fd</loader>")),
    "os/loader": Case(system("<loader type='rom'>/fw/bios.bin</loader>")),
    "os/nvram": Case(
        system("<nvram>/nv/gold.fd</nvram>"), {"os/nvram": ["/nv/clone.fd"]}, "gold.fd"
    ),
    "os/nvram[type=network]": Case(
        system("<nvram type='network'><source protocol='nbd' name='gold'/></nvram>")
    ),
    "os/nvram@template": Case(system("<nvram template='/fw/VARS.fd'>/nv/gold.fd</nvram>")),
    "os/nvram@type": Case(
        system("<nvram type='block'><source dev='/dev/gold'/></nvram>"),
        {"os/nvram/@type": [], "os/nvram": ["/nv/clone.fd"]},
        "/dev/gold",
    ),
    "os/nvram/source": Case(
        system("<nvram type='file'><source file='/nv/gold.fd'/></nvram>"),
        {"os/nvram/source": [], "os/nvram": ["/nv/clone.fd"]},
        "gold.fd",
    ),
    "os/varstore": Case(system("<varstore path='/nv/gold.json'/>")),
    "os/kernel": Case(system("<kernel>/boot/vmlinuz</kernel>")),
    "os/initrd": Case(system("<initrd>/boot/initrd</initrd>")),
    "os/cmdline": Case(system("<cmdline>root=/dev/vda1</cmdline>")),
    "os/dtb": Case(system("<dtb>/boot/board.dtb</dtb>")),
    "os/shim": Case(system("<shim>/boot/shim.efi</shim>")),
    "os/acpi": Case(system("<acpi><table type='slic'>/fw/slic.dat</table></acpi>")),
    "os/boot": Case(system("<boot dev='hd'/>")),
    "os/bootmenu": Case(system("<bootmenu enable='yes' timeout='3000'/>")),
    "os/bios": Case(system("<bios useserial='yes'/>")),
    "os/smbios": Case(system("<smbios mode='sysinfo'/>")),
}

_BEHAVIOUR = {
    "features": Case("<features><acpi/><hyperv><relaxed state='on'/></hyperv></features>"),
    "clock": Case("<clock offset='utc'><timer name='hpet' present='no'/></clock>"),
    "on_poweroff": Case("<on_poweroff>destroy</on_poweroff>"),
    "on_reboot": Case("<on_reboot>restart</on_reboot>"),
    "on_crash": Case("<on_crash>preserve</on_crash>"),
    "on_lockfailure": Case("<on_lockfailure>pause</on_lockfailure>"),
    "pm": Case("<pm><suspend-to-mem enabled='no'/></pm>"),
    "perf": Case("<perf><event name='cmt' enabled='yes'/></perf>"),
    "seclabel[type=static]": Case(
        "<seclabel type='static' model='dac'><label>+1:+1</label></seclabel>"
    ),
    "seclabel[type=none]": Case("<seclabel type='none'/>"),
    "seclabel": Case("<seclabel type='dynamic' model='selinux' relabel='yes'/>"),
    "seclabel/baselabel": Case("<seclabel type='dynamic'><baselabel>a:b</baselabel></seclabel>"),
    "seclabel/label": Case("<seclabel type='dynamic'><label>a:c1</label></seclabel>"),
    "seclabel/imagelabel": Case("<seclabel type='dynamic'><imagelabel>c2</imagelabel></seclabel>"),
    "launchSecurity": Case("<launchSecurity type='sev'><policy>0x3</policy></launchSecurity>"),
    "qemu:commandline": Case("<qemu:commandline><qemu:arg value='-S'/></qemu:commandline>"),
    "qemu:override": Case("<qemu:override><qemu:device alias='ua-a'/></qemu:override>"),
    "qemu:capabilities": Case("<qemu:capabilities><qemu:del capability='x'/></qemu:capabilities>"),
    "qemu:deprecation": Case("<qemu:deprecation behavior='crash'/>"),
}

DOMAIN_CASES: dict[str, Case] = {**_IDENTITY, **_SIZE, **_FIRMWARE, **_BEHAVIOUR}
