"""The checklist of docs/guest-identity.md, on the files of good and bad templates."""

import pytest

from workers.guest.template import judge

CLOUD = "/etc/cloud/cloud.cfg"
BELOW = "/etc/cloud/cloud.cfg.d"
GOOD = {
    CLOUD: "users: [default]\n",
    f"{BELOW}/90_dpkg.cfg": "datasource_list: [ NoCloud, None ]\n",
    "/proc/cmdline": "root=UUID=1 ro quiet\n",
    "/etc/network/interfaces": "auto lo\niface lo inet loopback\nsource interfaces.d/*\n",
    "/etc/netplan/50-cloud-init.yaml": "",
    "/etc/network/interfaces.d/50-cloud-init": "",
    "/etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection": "",
    "/etc/sysconfig/network-scripts/ifcfg-lo": "DEVICE=lo",
    "/etc/sysconfig/network-scripts/ifcfg-eth0": "# Created by cloud-init automatically\n",
}


def faults(files: dict[str, str]) -> dict[str, str]:
    return {remark.what: remark.text for remark in judge(files) if not remark.held}


def test_a_good_template_has_no_faults() -> None:
    assert faults(GOOD) == {}
    assert [remark.what for remark in judge(GOOD)] == [
        "cloud-init",
        "datasources",
        "network",
        "seed folder",
    ]


def test_without_cloud_init_nothing_else_is_asked() -> None:
    assert list(faults({"/etc/netplan/00-installer-config.yaml": ""})) == ["cloud-init"]


@pytest.mark.parametrize(
    ("changed", "what", "named"),
    [
        ({"/etc/cloud/cloud-init.disabled": ""}, "cloud-init", "cloud-init.disabled"),
        ({"/proc/cmdline": "ro cloud-init=disabled\n"}, "cloud-init", "cloud-init=disabled"),
        # The later file counts, and all of them before cloud.cfg itself.
        ({f"{BELOW}/99-installer.cfg": "datasource_list: [None]"}, "datasources", "99-installer"),
        ({f"{BELOW}/90_dpkg.cfg": "datasource_list: [Ec2]"}, "datasources", "90_dpkg.cfg"),
        ({f"{BELOW}/95.cfg": "datasource_list: NoCloud"}, "datasources", "95.cfg"),  # no list
        ({CLOUD: "manual_cache_clean: true"}, "manual_cache_clean", CLOUD),
        ({CLOUD: "bootcmd: [[date]]"}, "bootcmd", CLOUD),
        ({f"{BELOW}/9.cfg": "network: {config: disabled}"}, "network", "9.cfg"),
        ({"/etc/netplan/00-installer-config.yaml": ""}, "network", "00-installer"),
        ({"/etc/network/interfaces": "iface eth0 inet static\n"}, "network", "/interfaces"),
        ({"/etc/network/interfaces.d/eth0": ""}, "network", "interfaces.d/eth0"),
        ({"/etc/NetworkManager/system-connections/a.nmconnection": ""}, "network", "a.nmconn"),
        ({"/etc/systemd/network/10-static.network": ""}, "network", "10-static"),
        ({"/etc/udev/rules.d/70-persistent-net.rules": ""}, "network", "70-persistent"),
        ({"/etc/sysconfig/network-scripts/ifcfg-eth1": "DEVICE=eth1"}, "network", "ifcfg-eth1"),
        ({"/var/lib/cloud/seed/nocloud/meta-data": ""}, "seed folder", "nocloud/meta-data"),
        ({"/var/lib/cloud/seed/nocloud-net/meta-data": ""}, "seed folder", "nocloud-net"),
    ],
)
def test_each_fault_is_named_with_its_file(changed: dict[str, str], what: str, named: str) -> None:
    found = faults(GOOD | changed)
    assert list(found) == [what]
    assert named in found[what]


def test_a_list_of_cloud_cfg_is_overruled_below() -> None:
    assert faults(GOOD | {CLOUD: "datasource_list: [None]"}) == {}


@pytest.mark.parametrize("content", ["[", "just text", "a: &a [*a]", "\0", "!!python/object:x {}"])
def test_nonsense_in_a_file_is_passed_over(content: str) -> None:
    assert faults(GOOD | {f"{BELOW}/99.cfg": content}) == {}
