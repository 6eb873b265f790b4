//! `rdpscope explain`.

use crate::{err, out, rdpscope};

#[test]
fn explain_lists_every_cause() {
    let output = rdpscope(&["explain"]);
    assert_eq!(output.status.code(), Some(0));
    let table = out(&output);
    for cause in parser::diagnosis::Cause::ALL {
        assert_eq!(
            table
                .lines()
                .filter(|line| line.trim_start_matches(['*', ' ']).split(' ').next() == Some(cause.id()))
                .count(),
            1,
            "{cause}"
        );
    }
    assert!(!table.contains('\x1b'), "no colours when piped");
}

#[test]
fn explain_of_a_cause_says_what_is_seen_and_what_to_do() {
    let page = out(&rdpscope(&["explain", "cert_private_key_unusable"]));
    for part in ["What is seen", "What to do", "NETWORK SERVICE", "Decided by", "36870", "tls_hello"] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
}

#[test]
fn explain_as_json_is_one_document() -> Result<(), serde_json::Error> {
    let all: Vec<serde_json::Value> = serde_json::from_str(&out(&rdpscope(&["explain", "--json"])))?;
    assert_eq!(all.len(), parser::diagnosis::Cause::ALL.len());
    let one: serde_json::Value = serde_json::from_str(&out(&rdpscope(&["explain", "tcp_refused", "--json"])))?;
    assert_eq!(one["id"], "tcp_refused");
    assert_eq!(one["predicted"]["mstsc_direct"][0], "0x204");
    assert!(all.contains(&one));
    Ok(())
}

#[test]
fn explain_of_a_way_to_end_says_that_it_is_no_failure_and_where_it_is_told() -> Result<(), serde_json::Error> {
    for (cause, end) in
        [("user_closed", "user_closed"), ("session_replaced", "replaced"), ("idle_or_time_limit", "idle_or_time_limit")]
    {
        let page = out(&rdpscope(&["explain", cause]));
        assert!(page.contains("  Outcome      success\n  Told as      `rdpscope.end` of a session"), "{page}");
        assert!(page.replace(['\n', ' '], "").contains(&format!("`ok_bridged`:`{end}`")), "{page}");
        let object: serde_json::Value = serde_json::from_str(&out(&rdpscope(&["explain", cause, "--json"])))?;
        assert_eq!((&object["outcome"], &object["end"]), (&"success".into(), &end.into()));
    }
    assert!(!out(&rdpscope(&["explain", "cert_expired"])).contains("Told as"));
    Ok(())
}

#[test]
fn an_unknown_cause_is_answered_with_the_nearest() {
    let output = rdpscope(&["explain", "cert_expird"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        err(&output),
        "error: there is no cause `cert_expird`; did you mean `cert_expired`? `rdpscope explain` lists all of them\n"
    );
    assert_eq!(rdpscope(&["explain", "Cert-Expired"]).status.code(), Some(0));
}
