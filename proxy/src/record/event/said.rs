//! What `rdp.*` gains where the messages of a session could be read. Codes, lengths and flags; the client computer's name is
//! written as user names are.

use super::Names;
use parser::session::{PerPeer, Told};
use parser::wire::DisconnectReason;
use serde::Serialize;
use std::borrow::Cow;

/// The objects; each is left out when nothing of it was said.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    credssp: Option<Credssp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mcs: Option<Mcs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_info: Option<ClientInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    licensing: Option<Licensing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_info: Option<SessionInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirection: Option<Redirection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_info: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect: Option<Disconnect>,
}

/// A number with the name it has in its specification.
#[derive(Clone, Debug, Serialize)]
struct Named {
    code: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
struct Credssp {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mechanism: Option<&'static str>,
    /// NTSTATUS.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    early_user_authorization: Option<Named>,
}

#[derive(Clone, Debug, Serialize)]
struct Client {
    build: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Mcs {
    /// What the client repeats of the host's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    selected_protocol: Option<String>,
    /// What the host repeats of the client's request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requested_protocols: Vec<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_method: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_level: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

#[derive(Clone, Debug, Serialize)]
struct Refused {
    step: &'static str,
    result: Named,
}

#[derive(Clone, Debug, Serialize)]
struct ClientInfo {
    flags: Vec<&'static str>,
    password_sent: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Licensing {
    /// The host's last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transition: Option<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
struct SessionInfo {
    kind: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    logon_error: Option<[u32; 2]>,
}

#[derive(Clone, Debug, Serialize)]
struct Redirection {
    flags: Vec<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
struct Disconnect {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_reason: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_reason: Option<Named>,
}

impl Said {
    pub(super) fn of(told: &Told, names: &Names) -> Said {
        Said {
            credssp: credssp(told),
            client: told.client.as_ref().map(|client| Client {
                build: client.build,
                version: client.version.name(),
                name: Some(&client.name).filter(|name| !name.is_empty()).and_then(|name| names.write(name)),
            }),
            mcs: mcs(told),
            client_info: told
                .client_info
                .map(|info| ClientInfo { flags: info.flags.names(), password_sent: info.password > 0 }),
            licensing: told.licence.host.or(told.licence.client).map(|(licence, _)| Licensing {
                message: licence.kind.name(),
                error: licence.error.map(|(error, _)| Named { code: error.0, name: error.name() }),
                transition: licence.transition(),
            }),
            session_info: told.session_info.map(|info| SessionInfo {
                kind: info.kind,
                logon_error: info.logon_error.map(|(kind, data)| [kind, data]),
            }),
            redirection: told.redirection.map(|(flags, _)| Redirection { flags: flags.names() }),
            error_info: told.error_info.map(|(code, _)| Named { code: code.0, name: code.name() }),
            disconnect: disconnect(told),
        }
    }
}

fn credssp(told: &Told) -> Option<Credssp> {
    let PerPeer { client, host } = told.credssp_version;
    let early = told.early_user_auth.map(|(result, _)| Named { code: result.0, name: result.name() });
    (client.is_some() || host.is_some() || early.is_some()).then(|| Credssp {
        client_version: client,
        host_version: host,
        mechanism: told.mechanism.map(|mechanism| mechanism.name()),
        status: told.nt_status.map(|(status, _)| Named { code: status.0, name: status.name() }),
        early_user_authorization: early,
    })
}

fn mcs(told: &Told) -> Option<Mcs> {
    let (client, server) = (told.client.as_deref(), told.server.as_ref());
    (client.is_some() || server.is_some() || told.mcs_refused.is_some()).then(|| Mcs {
        selected_protocol: client.and_then(|client| client.selected_protocol).map(|p| p.names().join("+")),
        requested_protocols: server.and_then(|s| s.requested_protocols).map(|p| p.names()).unwrap_or_default(),
        channels: client.and_then(|client| client.channels),
        encryption_method: server.and_then(|server| server.encryption_method),
        encryption_level: server.and_then(|server| server.encryption_level),
        refused: told.mcs_refused.map(|(step, result, _)| Refused {
            step: step.name(),
            result: Named { code: u32::from(result.0), name: result.name() },
        }),
    })
}

fn disconnect(told: &Told) -> Option<Disconnect> {
    let reason = |(reason, _): (DisconnectReason, _)| Named { code: u32::from(reason.0), name: reason.name() };
    let PerPeer { client, host } = told.disconnect;
    (client.is_some() || host.is_some())
        .then(|| Disconnect { client_reason: client.map(reason), host_reason: host.map(reason) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::UserNames;
    use parser::Timestamp;
    use parser::wire::{ClientData, ErrorInfo, Mechanism, NtStatus, RdpVersion};
    use serde_json::json;

    #[test]
    fn codes_have_their_names_and_a_computer_is_hashed_like_a_user() {
        let client = ClientData {
            version: RdpVersion(0x0008_0011),
            build: 22_621,
            name: "WS-042".to_owned(),
            ..ClientData::default()
        };
        let told = Told {
            credssp_version: PerPeer { client: Some(6), host: Some(6) },
            mechanism: Some(Mechanism::Ntlm(3)),
            nt_status: Some((NtStatus(0xc000_0234), Timestamp(1))),
            client: Some(Box::new(client)),
            error_info: Some((ErrorInfo(7), Timestamp(2))),
            ..Told::default()
        };
        let of = |how| serde_json::to_value(Said::of(&told, &Names::new(how, None).unwrap())).unwrap();
        let plain = of(UserNames::Plain);
        let status = json!({ "code": 0xc000_0234_u32, "name": "STATUS_ACCOUNT_LOCKED_OUT" });
        assert_eq!(
            plain["credssp"],
            json!({ "client_version": 6, "host_version": 6, "mechanism": "ntlm", "status": status })
        );
        assert_eq!(plain["client"], json!({ "build": 22_621, "version": "10.12", "name": "WS-042" }));
        assert_eq!(plain["error_info"], json!({ "code": 7, "name": "SERVER_DENIED_CONNECTION" }));
        assert!(plain.get("disconnect").is_none() && plain.get("licensing").is_none());
        assert!(!of(UserNames::Hash).to_string().contains("WS-042"));
        assert!(of(UserNames::Drop)["client"].get("name").is_none());
    }
}
