//! Name lookup, TCP, and the way between the machines.

use super::Observer::{Bridge, Capture, Passthrough, Probe};
use super::{Entry, Predicted};
use crate::diagnosis::Side;
use crate::session::Phase;

/// From the first byte to the end of the session.
const ANY: &[Phase] = &[
    Phase::Accept,
    Phase::Resolve,
    Phase::Tcp,
    Phase::X224,
    Phase::TlsHello,
    Phase::TlsFinish,
    Phase::Credssp,
    Phase::Rdstls,
    Phase::Mcs,
    Phase::ClientInfo,
    Phase::Licensing,
    Phase::Activation,
    Phase::Active,
];

pub(super) static DNS_FAILURE: Entry = Entry {
    title: "The host's name could not be resolved",
    sees: "No connect to the host; the resolver's answer and its kind (no such name, server failure, no answer).",
    decided_by: &[Passthrough],
    side: Side::Network,
    phases: &[Phase::Resolve],
    remedy: &[
        "Ask the resolver of the proxy machine: `getent hosts NAME`, `dig NAME`; on Windows `Resolve-DnsName NAME`.",
        "Write the upstream as a fully qualified name (rds07.example.net, not rds07), or add the search suffix to /etc/resolv.conf.",
        "Fix or add the A/AAAA record; look for a stale record after a rename of the host.",
    ],
    predicted: Predicted::hidden(&["0x104", "0x208", "0x508", "0x604"]),
    reference: "Microsoft: IMsTscAxEvents OnDisconnected, disconnectReasonDNSLookupFailed and HostNotFound",
};

pub(super) static TCP_REFUSED: Entry = Entry {
    title: "The host refused the TCP connection: nothing listens on that port",
    sees: "RST as the answer to our SYN (ECONNREFUSED).",
    decided_by: &[Passthrough, Capture],
    side: Side::Host,
    phases: &[Phase::Tcp],
    remedy: &[
        "On the host, see whether anything listens: `netstat -ano | findstr :3389` (Linux: `ss -ltnp`).",
        "Start the service: `Start-Service TermService` (xrdp: `systemctl start xrdp`).",
        r"Allow Remote Desktop: `Set-ItemProperty 'HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server' fDenyTSConnections 0`.",
        r"Compare the port with `HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp` PortNumber (xrdp.ini: `port=`) and with the upstream in this proxy's configuration.",
        "If the service does listen, a firewall answers in its place: compare the TTL of the RST with that of another port's answer.",
    ],
    predicted: Predicted::hidden(&["0x204"]),
    reference: "Microsoft: disconnectReasonSocketConnectFailed; 0x204 is a failed connect(), never a matter of credentials",
};

pub(super) static TCP_TIMEOUT_SYN_DROP: Entry = Entry {
    title: "The host never answered the TCP connect",
    sees: "SYN sent again and again, no answer within the connect time-out.",
    decided_by: &[Passthrough, Capture],
    side: Side::Network,
    phases: &[Phase::Tcp],
    remedy: &[
        "See whether the host is up and the address is right: ping it, look at its console or hypervisor.",
        "Open the host's firewall for RDP: `Enable-NetFirewallRule -DisplayGroup 'Remote Desktop'`.",
        "Check what stands between: security group or NSG for port 3389 from this proxy's address, the route, the VPN.",
        "Connect from the proxy machine: `nc -vz HOST 3389`; then from a machine next to the host. The difference names the segment.",
    ],
    predicted: Predicted::hidden(&["0x204", "0x108"]),
    reference: "Microsoft: disconnectReasonSocketConnectFailed, disconnectReasonConnectionTimedOut",
};

pub(super) static TCP_UNREACHABLE: Entry = Entry {
    title: "The network says that the host cannot be reached",
    sees: "ICMP unreachable or a local route that says so (EHOSTUNREACH, ENETUNREACH, EACCES).",
    decided_by: &[Passthrough, Capture],
    side: Side::Network,
    phases: &[Phase::Tcp],
    remedy: &[
        "Look at the route on the proxy machine: `ip route get ADDRESS`.",
        "A router or firewall that rejects with ICMP is named by the sender of that ICMP: `tcpdump -n icmp` while connecting.",
        "Allow this proxy's address to the host's port 3389 in the access list of that device.",
    ],
    predicted: Predicted::hidden(&["0x204"]),
    reference: "RFC 792, RFC 4443: destination unreachable",
};

pub(super) static BACKLOG_SATURATED: Entry = Entry {
    title: "The host's listener is full",
    sees: "Connects become slow or time out in bursts while others to the same host succeed.",
    decided_by: &[Probe, Capture],
    side: Side::Host,
    phases: &[Phase::Tcp, Phase::X224],
    remedy: &[
        "Look for a password-guessing attack: many half-open logons from few addresses (Security log 4625, TermService event 1006), and block those addresses or put the host behind a gateway.",
        "Check GPO Remote Desktop Services > Connections > \"Limit number of connections\".",
        r"If the load is legitimate, raise `HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server` MaxOutstandingConnections (DWORD) step by step and measure.",
    ],
    predicted: Predicted::hidden(&["0x204", "0x904"]),
    reference: "Windows Server ADMX TS_MAX_CON_POLICY; KB 908912",
};

pub(super) static RST_BY_MIDDLEBOX: Entry = Entry {
    title: "A device on the way cut the connection with a forged reset",
    sees: "A RST; only its TTL, IP id or window against earlier packets of that side tell who sent it.",
    decided_by: &[Capture, Probe],
    side: Side::Network,
    phases: ANY,
    remedy: &[
        "Capture on both sides of the suspected device and compare the TTL of the RST with that of the host's other packets.",
        "Look in the log of the firewall or IPS for this five-tuple and second: an RDP signature, an App-ID rule \"ms-rdp\", a geographic filter.",
        "Allow RDP between this proxy and the host there, by rule and not by switching inspection off.",
    ],
    predicted: Predicted::same(&["0x904", "0x404"]),
    reference: "engineering judgement: a reset is attributed by TTL, not by port",
};

pub(super) static IDLE_TIMEOUT_FIREWALL: Entry = Entry {
    title: "A stateful device forgot the idle connection",
    sees: "A long silence in an active session, then a RST or a time-out on the next byte; the same length of silence every time.",
    decided_by: &[Passthrough, Capture],
    side: Side::Network,
    phases: &[Phase::Active],
    remedy: &[
        "Raise the TCP idle time-out of the firewall, NAT or load balancer above the longest pause of a user.",
        "Keep the session busy: GPO Remote Desktop Services > Connections > \"Configure keep-alive connection interval\" = 1 minute (KeepAliveEnable=1, KeepAliveInterval=1).",
        "If the device stands between this proxy and a peer, the proxy's own TCP keep-alive must be shorter than its time-out.",
    ],
    predicted: Predicted::same(&["0x904", "0x3"]),
    reference: "Windows ADMX TS_KEEP_ALIVE",
};

pub(super) static MTU_BLACKHOLE: Entry = Entry {
    title: "Full-size packets vanish on the way while small ones pass",
    sees: "Silence after the first large message, retransmissions of full-size segments, nothing acknowledged any more.",
    decided_by: &[Probe, Capture],
    side: Side::Network,
    phases: ANY,
    remedy: &[
        "Find the limit: `ping -M do -s 1472 HOST` (Windows: `ping -f -l 1472 HOST`), smaller until it passes.",
        "Let ICMP \"fragmentation needed\" (type 3 code 4; IPv6 type 2) through every firewall on the path.",
        "Clamp the MSS on the tunnel or VPN device: `nft add rule inet filter forward tcp flags syn tcp option maxseg size set rt mtu`.",
        "Set the MTU of the tunnel interface to what the path really carries.",
    ],
    predicted: Predicted::same(&["0x904", "0x704"]),
    reference: "RFC 2923, RFC 4821; Jool issue 455",
};

pub(super) static CLIENT_SIDE_NETWORK_LOSS: Entry = Entry {
    title: "The client's network went away",
    sees: "The client leg dies by retransmission or keep-alive time-out; likely when the host went on sending meanwhile.",
    decided_by: &[Passthrough],
    side: Side::Network,
    phases: ANY,
    remedy: &[
        "See whether other clients of the same network dropped in the same minute: then it is their uplink, VPN or access point.",
        "On the client look at the Wi-Fi and VPN logs at this second; power saving and roaming are the usual reasons.",
        "The session itself lives on at the host: the user can reconnect to it.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "engineering judgement: the kernel's time-out on one leg only",
};

pub(super) static UDP_TRANSPORT_BLOCKED: Entry = Entry {
    title: "The UDP side transport is blocked or broken, and the session suffers",
    sees: "The TCP session ends at a fixed age, about 65 seconds; UDP does not pass through this proxy.",
    decided_by: &[Bridge, Capture],
    side: Side::Network,
    phases: &[Phase::Active],
    remedy: &[
        "Refuse UDP 3389 (3391 at a gateway) quickly instead of dropping it, so that clients stay on TCP: `nft add rule inet filter input udp dport 3389 reject`.",
        "Or let it pass to the host: route or forward UDP 3389 beside this proxy.",
        "To confirm, set GPO Remote Desktop Services > \"Turn Off UDP On Client\" on one client and compare.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "[MS-RDPEMT], [MS-RDPEUDP]; field reports of drops about 65 s in between 24H2 clients and 2016 hosts",
};

pub(super) static REDIRECT_BYPASSES_PROXY: Entry = Entry {
    title: "The broker sent the client to an address it cannot reach",
    sees: "The connection ends in order right after the logon and the client does not come back through us.",
    decided_by: &[Bridge],
    side: Side::Host,
    phases: &[Phase::Mcs, Phase::ClientInfo, Phase::Licensing, Phase::Activation, Phase::Active],
    remedy: &[
        "Let the broker redirect by routing token instead of by address: on the hosts GPO RD Connection Broker > \"Use IP Address Redirection\" = Disabled.",
        "Or publish each host of the farm through its own listener of this proxy.",
    ],
    predicted: Predicted::same(&["0x204"]),
    reference: "[MS-RDPBCGR] 2.2.13 Server Redirection; 3.2.5.3.1 routing token",
};

pub(super) static CLIENT_SENT_NOTHING: Entry = Entry {
    title: "The client connected and sent nothing",
    sees: "Not one byte from the client until it closed or the time-out struck.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: &[Phase::Accept],
    remedy: &[
        "A health check or a port scan looks like this; if the address is your load balancer or monitoring, nothing is to be done.",
        "If it is a user, look at the client's network: the connection came up but its first packet did not.",
    ],
    predicted: Predicted::NOTHING,
    reference: "[MS-RDPBCGR] 1.3.1.1: the client speaks first",
};

pub(super) static NOT_RDP: Entry = Entry {
    title: "One side does not speak RDP",
    sees: "The first bytes of the client, or the first answer, are neither X.224 nor TLS.",
    decided_by: &[Passthrough],
    side: Side::Client,
    phases: &[Phase::X224, Phase::TlsHello, Phase::TlsFinish],
    remedy: &[
        "If the client is the stranger: it is a scanner or a program pointed at the wrong port; nothing is wrong with the host.",
        "If the host is: check the upstream's address and port, another service answers there.",
    ],
    predicted: Predicted::NOTHING,
    reference: "RFC 1006 (TPKT), [MS-RDPBCGR] 2.2.1.1",
};

pub(super) static CAPTURE_INCOMPLETE: Entry = Entry {
    title: "The capture does not hold enough of this connection to tell how it came out",
    sees: "Packets are cut short or missing where the answer would have been, or the capture begins after the connection did or ends before it does. That says nothing of the connection: it may have been a good one.",
    decided_by: &[Passthrough, Capture],
    side: Side::Network,
    phases: ANY,
    remedy: &[
        "Take whole packets, from before the connection begins until after it has ended: `tcpdump -i any -s 0 -w rdp.pcap port 3389`.",
        "If tcpdump says at its end that packets were dropped by the kernel, give it room: `tcpdump -B 65536`, and a disk that keeps up.",
    ],
    predicted: Predicted::NOTHING,
    reference: "draft-ietf-opsawg-pcap 5: a packet's original length above its captured length",
};

pub(super) static UNKNOWN_CLOSE: Entry = Entry {
    title: "The connection ended and nothing seen explains it",
    sees: "Who closed, how, in which phase, after how many bytes: no more.",
    decided_by: &[Bridge, Capture],
    side: Side::Network,
    phases: ANY,
    remedy: &[
        "Compare the time of the close with the host's System and TerminalServices logs, and with the client's.",
        "Capture the next one on both sides of this proxy: `tcpdump -i any -w rdp.pcap port 3389`.",
    ],
    predicted: Predicted::same(&["0x904"]),
    reference: "none",
};
