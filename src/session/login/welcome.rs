//! The first messages a logged-in client gets, and what can be told of a node without asking it again.

use crate::pool::CancelSlot;
use crate::pool::Parameters as NodeParameters;
use crate::pool::Settings;
use crate::session::client::Client;
use crate::wire::encode;
use crate::wire::startup::Parameters;

/// The settings a client brings along.
pub(super) fn wanted_settings(parameters: &Parameters) -> Settings {
    let app = Some(("application_name", parameters.application_name.as_str()))
        .filter(|(_, app)| !app.is_empty());
    let others = parameters
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Settings::new(others.chain(app))
}

/// What the node would report to a client with these settings, where that is known without asking it.
pub(super) fn foretell(
    known: &NodeParameters,
    settings: &Settings,
) -> Option<Vec<(String, String)>> {
    let mut parameters = known.to_vec();
    for (name, value) in settings.iter() {
        let value = match name {
            "application_name" => value,
            "client_encoding" if is_utf8(value) => "UTF8",
            _ => return None,
        };
        match parameters.iter_mut().find(|(known, _)| known == name) {
            Some((_, reported)) => value.clone_into(reported),
            None => return None,
        }
    }
    Some(parameters)
}

fn is_utf8(encoding: &str) -> bool {
    ["utf8", "utf-8", "unicode", "'utf-8'", "'utf8'"]
        .iter()
        .any(|name| encoding.eq_ignore_ascii_case(name))
}

/// AuthenticationOk, the node's parameters, the cancel key, ReadyForQuery.
pub(super) fn welcome(client: &mut Client, parameters: &[(String, String)], slot: &CancelSlot) {
    let out = &mut client.out;
    encode::authentication_ok(out);
    for (name, value) in parameters {
        encode::parameter_status(out, name, value);
    }
    encode::backend_key_data(out, slot.pid(), slot.secret());
    encode::ready_for_query(out, b'I');
}
