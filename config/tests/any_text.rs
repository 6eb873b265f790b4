//! Whatever the text: no panic, and either settings that survive being printed and read again, or errors that each
//! have a place in the text.

use proptest::prelude::*;

fn holds(text: &str) -> Result<(), TestCaseError> {
    match config::parse("any.toml", text) {
        Ok(settings) => {
            let printed = config::effective(&settings);
            let again = config::parse("effective.toml", &printed);
            prop_assert_eq!(again.as_ref(), Ok(&settings), "{}", printed);
        }
        Err(errors) => {
            prop_assert!(!errors.problems().is_empty());
            let shown = errors.to_string();
            prop_assert!(shown.starts_with("error: "), "{}", shown);
            prop_assert!(errors.render(true).contains('\x1b'));
            let lines = text.matches('\n').count() + 1;
            for problem in errors.problems() {
                let (line, column) = errors.line_and_column(problem.at.start);
                prop_assert!((1..=lines).contains(&line) && column >= 1);
                prop_assert!(text.get(problem.at.clone()).is_some());
            }
            let (line, column) = errors.line_and_column(errors.problems()[0].at.start);
            prop_assert!(shown.contains(&format!("any.toml:{line}:{column}")), "{}", shown);
        }
    }
    Ok(())
}

/// A line as a person might write it: a header, or a key with a value of any kind.
fn line() -> impl Strategy<Value = String> {
    let headers: Vec<String> = config::Table::ALL.iter().map(|table| table.header().to_owned()).collect();
    let keys: Vec<&'static str> = config::KEYS.iter().map(|key| key.name).collect();
    let examples: Vec<&'static str> =
        config::KEYS.iter().map(|key| key.example).filter(|text| !text.is_empty()).collect();
    let value = prop_oneof![
        4 => proptest::sample::select(examples).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<bool>().prop_map(|boolean| boolean.to_string()),
        1 => any::<String>().prop_map(|text| toml::Value::from(text).to_string()),
        1 => "[0-9]{1,3}(ms|s|m|h|d|B|KiB|MiB|GiB|x)?".prop_map(|text| format!("'{text}'")),
        1 => "(\\[?[0-9a-f:.]{1,12}\\]?|[a-z.]{1,9})(:[0-9]{1,5})?".prop_map(|text| format!("'{text}'")),
    ];
    prop_oneof![
        1 => proptest::sample::select(headers),
        3 => (proptest::sample::select(keys), value).prop_map(|(key, value)| format!("{key} = {value}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_answered(text in any::<String>()) {
        holds(&text)?;
    }

    #[test]
    fn arbitrary_lines_of_configuration_are_answered(lines in proptest::collection::vec(line(), 0..12)) {
        holds(&lines.join("\n"))?;
    }

    #[test]
    fn arbitrary_flags_are_answered(
        listen in any::<String>(),
        upstream in any::<String>(),
        event_log in any::<Option<String>>(),
        address in any::<std::net::SocketAddr>(),
        port in any::<u16>(),
    ) {
        let (listen, upstream) = (listen.as_str(), upstream.as_str());
        let (address, host) = (address.to_string(), format!("rds07:{port}"));
        for (listen, upstream) in [(listen, upstream), (&address, upstream), (&address, &host), (listen, &host)] {
            let flags = config::Flags { listen, upstream, event_log: event_log.as_deref(), ..Default::default() };
            match flags.settings() {
                Ok(settings) => prop_assert_eq!(config::parse("f", &config::effective(&settings)), Ok(settings)),
                Err(errors) => prop_assert!(errors.to_string().contains("command line:1:"), "{}", errors),
            }
        }
    }

    #[test]
    fn arbitrary_values_beside_a_good_listener_are_answered(
        name in any::<String>(),
        seconds in 0_u64..5_000,
        bytes in 0_u64..(1 << 31),
        sessions in 0_u32..2_000_000,
        address in any::<std::net::SocketAddr>(),
    ) {
        holds(&format!(
            "[[listener]]\nname = {}\nlisten = '{address}'\nupstream = 'rds07'\nmax_sessions = {sessions}\n\
             [timeouts]\nconnect = '{seconds}s'\n[limits]\nopening_memory = '{bytes}B'\n",
            toml::Value::from(name),
        ))?;
    }
}

#[test]
fn nesting_without_end_is_answered() -> Result<(), TestCaseError> {
    let deep = 20_000;
    holds(&format!("a = {}", "[".repeat(deep)))?;
    holds(&format!("a = {}", "{a=".repeat(deep)))?;
    holds(&format!("a = {}1{}", "[".repeat(deep), "]".repeat(deep)))?;
    holds(&format!("{}a = 1", "a.".repeat(deep)))?;
    holds(&format!("[{}a]", "a.".repeat(deep)))?;
    holds(&"[[listener]]\n".repeat(deep / 10))?;
    holds("\u{feff}[[listener]]\r\nlisten = '127.0.0.1:0'\r\nupstream = 'rds07'\r\n")?;
    holds("\u{feff}\r\n[admin]\r\nlisten = '\u{202e}x'\r\n")
}
