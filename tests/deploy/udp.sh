# Two machines and the proxy's between them, as network namespaces; plain datagrams on RDP's UDP ports.
# $1: refuse | pass, $2: the rules. Prints what the client met and what reached the host.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
mount -t tmpfs none /run
ip link set lo up
ip netns add client
ip netns add host
for peer in client host; do
  ip link add "$peer" type veth peer name eth0 netns "$peer"
  ip link set "$peer" up
  ip -n "$peer" link set eth0 up
  ip -n "$peer" link set lo up
done
ip address add 198.51.100.1/24 dev client
ip -n client address add 198.51.100.2/24 dev eth0
ip address add 192.0.2.1/24 dev host
ip -n host address add 192.0.2.10/24 dev eth0
# No route from the host to the client: what comes back comes through the proxy, or not at all.

ip netns exec host nft -f - <<'NFT'
table inet seen {
	counter from_proxy {}
	counter from_elsewhere {}
	chain input {
		type filter hook input priority filter;
		ip saddr 192.0.2.1 udp dport 3389 counter name from_proxy
		ip saddr != 192.0.2.1 udp dport 3389 counter name from_elsewhere
	}
}
NFT
# What a careless firewall does: drop silently. The rules under test must come first.
nft 'table inet careless { chain input { type filter hook input priority filter; udp dport { 3389, 3391 } drop; }; }'
if [ "$1" = pass ]; then echo 1 >/proc/sys/net/ipv4/ip_forward; fi
if [ "$1" != none ]; then nft -f "$2"; fi

# A connected UDP socket reports the refusal of the first datagram when the second one is written.
answer() {
  ip netns exec client bash -c "
    exec 3<>/dev/udp/198.51.100.1/$1
    for try in \$(seq 20); do echo rdp >&3 || { echo refused; exit; }; sleep 0.05; done
    echo silence" 2>/dev/null
}
echo "3389 $(answer 3389)"
echo "3391 $(answer 3391)"
ip netns exec host nft list counters table inet seen |
  awk '/counter/ { name = $2 } /packets/ { print name, ($2 > 0 ? "some" : "none") }'
