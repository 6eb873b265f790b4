//! A host older than any Rust stack: OpenSSL that speaks TLS 1.0 alone, behind X.224.

use crate::bench::{Bench, directory, probing};
use crate::host::{ALL, visit};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// `openssl s_server`, until it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start() -> Server {
        let directory = directory();
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let certificate =
            CertificateParams::new(vec!["old.example.net".to_owned()]).unwrap().self_signed(&key).unwrap();
        let (key_file, certificate_file) = (directory.join("key.pem"), directory.join("certificate.pem"));
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        std::fs::write(&certificate_file, certificate.pem()).unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-tls1", "-cipher", "AES256-SHA:AES128-SHA:@SECLEVEL=0", "-accept"])
            .arg(address.to_string())
            .arg("-key")
            .arg(key_file)
            .arg("-cert")
            .arg(certificate_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "openssl s_server does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }
}

/// Answers the Connection Request in its place and passes the rest on.
async fn front(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut header = [0; 4];
                socket.read_exact(&mut header).await?;
                let mut rest = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]])).saturating_sub(4)];
                socket.read_exact(&mut rest).await?;
                socket.write_all(b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x01\0\0\0").await?;
                let mut server = TcpStream::connect(server).await?;
                copy_bidirectional(&mut socket, &mut server).await
            });
        }
    });
    address
}

#[tokio::test]
async fn a_host_with_tls_1_0_alone_is_known_for_what_it_is() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("left out: no openssl here");
        return;
    }
    let server = Server::start().await;
    let host = front(server.address).await;
    let bench = Bench::new(host, probing(|_| ())).await;
    visit(bench.front, ALL).await;
    let verdict = bench.wait_for("verdict", 1).await.remove(0);
    assert_eq!(verdict["event"]["code"], "tls_no_common_version", "{verdict:#}");
    assert_eq!(verdict["rdpscope"]["confidence"], "proven", "{verdict:#}");
    assert_eq!(verdict["rdpscope"]["probe"]["versions"], serde_json::json!(["1.0"]), "{verdict:#}");
    let suites = serde_json::json!(["TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"]);
    let mut found = verdict["rdpscope"]["probe"]["ciphers"].as_array().unwrap().clone();
    let mut expected = suites.as_array().unwrap().clone();
    found.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(found, expected);
    assert_eq!(verdict["tls"]["server"]["x509"]["public_key_algorithm"], "RSA", "seen by the probe: {verdict:#}");
    let upstream = format!("upstream=\"{host}\"");
    bench.metric("host_tls_supported", &[&upstream, "version=\"1.0\""], 1.0).await;
    bench.metric("host_tls_supported", &[&upstream, "version=\"1.2\""], 0.0).await;
    bench.stop().await;
}
