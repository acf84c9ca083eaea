# Makes a shell script of a flattened network configuration of version 2, for the interfaces in
# `nics` ("eth0=MAC" a line). One that no entry matches gets its address by DHCP where there is no
# configuration at all, and none otherwise.
{
    configured = 1
    count = split($1, place, "/")
    if (place[1] != "ethernets") next
    entry = place[2]
    entries[entry]
    if (place[3] == "match" && place[4] == "macaddress") mac[entry] = tolower($2)
    else if (place[3] == "addresses") addresses[entry] = addresses[entry] " " $2
    else if (place[3] == "dhcp4") dhcp[entry] = $2
    else if (place[3] == "gateway4") gateways[entry] = $2
    else if (place[3] == "gateway6") gateways6[entry] = $2
    else if (place[3] == "routes") routes[entry, place[4], place[5]] = $2
    else if (place[3] == "nameservers" && place[4] == "addresses") servers = servers " " $2
}

END {
    count = split(nics, list, "\n")
    for (number = 1; number <= count; number++) {
        split(list[number], nic, "=")
        if (nic[1] == "lo") continue
        print "ip link set " nic[1] " up"
        if (!configured) ask(nic[1])
        for (entry in entries)
            if (entry in mac ? mac[entry] == tolower(nic[2]) : entry == nic[1]) start(entry, nic[1])
    }
    if (servers != "") print "for s in" servers "; do echo nameserver $s; done > /etc/resolv.conf"
}

function ask(name) { print "udhcpc -q -b -t 5 -T 2 -A 1 -i " name " -s /lib/guest/dhcp > /dev/null 2>&1" }

function start(entry, name,    count, list, number) {
    count = split(addresses[entry], list, " ")
    for (number = 1; number <= count; number++) print "ip addr add " list[number] " dev " name
    if (entry in gateways) print "ip route replace default via " gateways[entry] " dev " name
    if (entry in gateways6)
        print "ip -6 route replace default via " gateways6[entry] " dev " name
    for (number = 0; (entry, number, "via") in routes; number++)
        print "ip route replace " routes[entry, number, "to"] " via " routes[entry, number, "via"] \
            " dev " name
    if (dhcp[entry] ~ /^(true|yes)$/) ask(name)
}
