//! What a token says (RFC 7519, 4.1), once its signature fits: whether it is for us and for now, and who it is. Owns no signature.

use crate::Reason;
use crate::arena::Arena;
use crate::config;
use pgwarden_guest::Context;
use pgwarden_guest::Field;
use pgwarden_guest::Identity;
use pgwarden_guest::Verdict;
use pgwarden_guest::host;
use pgwarden_guest::json::Json;
use pgwarden_guest::json::Text;

/// Roles of a token that count.
const ROLES_MAX: usize = 64;
/// Claims that stages see.
const CLAIMS_MAX: usize = 16;
const MICROSECONDS: i64 = 1_000_000;

/// The claims of a token whose signature fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims<'a> {
    json: Json<'a>,
}

impl<'a> Claims<'a> {
    pub(crate) fn parse(payload: &'a str) -> Result<Self, Reason> {
        Json::parse(payload)
            .filter(|json| json.is_object() && json.has_unique_names())
            .map(|json| Self { json })
            .ok_or("the payload is no JSON object")
    }

    /// Whether the token is of this issuer, for this audience, and good now.
    pub(crate) fn check(&self, arena: &mut Arena<'_>) -> Result<(), Reason> {
        let now = host::now() / MICROSECONDS;
        let leeway = config("leeway_s", arena)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0_i64);
        let expires = self.time("exp")?.ok_or("the token never expires")?;
        if expires.saturating_add(leeway) <= now {
            return Err("the token has expired");
        }
        if self
            .time("nbf")?
            .is_some_and(|begins| now < begins.saturating_sub(leeway))
        {
            return Err("the token is not good yet");
        }
        let issuer = config("issuer", arena).ok_or("the policy names no issuer")?;
        if !self.text("iss").is_some_and(|named| named.is(issuer)) {
            return Err("the token is of another issuer");
        }
        let audience = config("audience", arena).ok_or("the policy names no audience")?;
        let given = self.json.get("aud");
        let is_ours = |value: Json<'_>| value.text().is_some_and(|text| text.is(audience));
        if !given.is_some_and(|given| is_ours(given) || given.items().any(is_ours)) {
            return Err("the token is for another audience");
        }
        Ok(())
    }

    /// Who the token says the client is.
    pub(crate) fn identity(
        &self,
        context: &Context<'_>,
        arena: &mut Arena<'_>,
    ) -> Result<Verdict, Reason> {
        let claim = config("user_claim", arena).unwrap_or("sub");
        let user = self
            .text(claim)
            .and_then(|text| copy(text, arena))
            .filter(|user| !user.is_empty())
            .ok_or("the token names no user")?;
        let must_match = config("match_username", arena) != Some("false");
        if must_match && context.text(Field::AuthUsername) != Some(user) {
            return Err("the token is another user's");
        }
        let tenant = match config("tenant_claim", arena) {
            None => None,
            Some(claim) => Some(
                self.text(claim)
                    .and_then(|text| copy(text, arena))
                    .filter(|tenant| !tenant.is_empty())
                    .ok_or("the token names no tenant")?,
            ),
        };
        let (mut roles, mut claims) = ([""; ROLES_MAX], [""; CLAIMS_MAX * 2]);
        let roles = self.roles(&mut roles, arena)?;
        let claims = self.shown(&mut claims, arena)?;
        Ok(Identity {
            user,
            roles,
            tenant,
            claims,
        }
        .into())
    }

    fn text(&self, name: &str) -> Option<Text<'a>> {
        self.json.get(name)?.text()
    }

    /// A NumericDate: seconds since 1970, of which a fraction is cut off. One with an exponent is not read: what is cut off
    /// would be more than a fraction.
    fn time(&self, name: &str) -> Result<Option<i64>, Reason> {
        let Some(value) = self.json.get(name) else {
            return Ok(None);
        };
        let (whole, fraction) = value.raw().split_once('.').unwrap_or((value.raw(), ""));
        let seconds = whole.parse().ok();
        seconds
            .filter(|_| fraction.bytes().all(|byte| byte.is_ascii_digit()))
            .map(Some)
            .ok_or("the token has a time that cannot be read")
    }

    /// The roles that count, under the names they count as. A claim is a list, or texts with blanks between (RFC 8693, 4.2).
    fn roles<'b, 'c>(
        &self,
        found: &'c mut [&'b str; ROLES_MAX],
        arena: &mut Arena<'b>,
    ) -> Result<&'c [&'b str], Reason> {
        let map = config("roles", arena).ok_or("the policy's roles are too long")?;
        let map = Json::parse(map).ok_or("the policy's roles cannot be read")?;
        let claim = config("roles_claim", arena).unwrap_or("roles");
        let mut count = 0;
        let Some(value) = self.json.get(claim) else {
            return Ok(&[]);
        };
        let mut take = |role: &str, arena: &mut Arena<'b>| {
            if let Some(known) = counting_as(role, map, arena)? {
                *found
                    .get_mut(count)
                    .ok_or("the token has more than 64 roles")? = known;
                count += 1;
            }
            Ok::<(), Reason>(())
        };
        let too_long = "the token's roles are too long";
        if let Some(text) = value.text() {
            let text = copy(text, arena).ok_or(too_long)?;
            text.split(' ')
                .filter(|role| !role.is_empty())
                .try_for_each(|role| take(role, arena))?;
        }
        for item in value.items() {
            let role = item.text().ok_or("the token has a role that is no text")?;
            let role = copy(role, arena).ok_or(too_long)?;
            take(role, arena)?;
        }
        Ok(&found[..count])
    }

    /// The claims that the policy lists and the token has: texts as they are, anything else as JSON.
    fn shown<'b, 'c>(
        &self,
        found: &'c mut [&'b str; CLAIMS_MAX * 2],
        arena: &mut Arena<'b>,
    ) -> Result<&'c [&'b str], Reason> {
        let names = config("claims", arena).ok_or("the policy's claims are too long")?;
        let names = Json::parse(names).ok_or("the policy's claims cannot be read")?;
        let mut count = 0;
        let pairs = found.as_chunks_mut::<2>().0.iter_mut();
        let values = names.items().filter_map(|name| {
            let name = name.text()?;
            let mut members = self.json.members();
            members.find(|(known, _)| known.same(name))
        });
        for (pair, (name, value)) in pairs.zip(values) {
            let too_long = "the token's claims are too long";
            let value = match value.text() {
                Some(text) => copy(text, arena),
                None => arena.joined([value.raw(), ""]),
            };
            *pair = [copy(name, arena).ok_or(too_long)?, value.ok_or(too_long)?];
            count += 2;
        }
        Ok(&found[..count])
    }
}

/// The name a role of a token counts as. A name in the policy counts before a prefix, and a longer prefix before a shorter one.
fn counting_as<'b>(
    role: &str,
    map: Json<'_>,
    arena: &mut Arena<'b>,
) -> Result<Option<&'b str>, Reason> {
    let mut best: Option<(usize, Text<'_>, &str)> = None;
    for (pattern, name) in map.members() {
        let Some(name) = name.text() else { continue };
        let Some(rest) = rest_after(pattern, role) else {
            continue;
        };
        let length = if rest.is_empty() {
            usize::MAX
        } else {
            role.len() - rest.len()
        };
        if best.is_none_or(|(other, ..)| other < length) {
            best = Some((length, name, rest));
        }
    }
    let Some((_, name, rest)) = best else {
        return Ok(None);
    };
    let too_long = "the token's roles are too long";
    let name = copy(name, arena).ok_or(too_long)?;
    match name.strip_suffix('*') {
        Some(before) => arena.joined([before, rest]).map(Some).ok_or(too_long),
        None => Ok(Some(name)),
    }
}

/// What a role has after a prefix `abc*`, or nothing after a name that it is; `None` where it does not fit.
fn rest_after<'r>(pattern: Text<'_>, role: &'r str) -> Option<&'r str> {
    let (mut pattern, mut rest) = (pattern.chars().peekable(), role.chars());
    while let Some(char) = pattern.next() {
        if char == '*' && pattern.peek().is_none() {
            return Some(rest.as_str()).filter(|rest| !rest.is_empty());
        }
        (rest.next() == Some(char)).then_some(())?;
    }
    Some(rest.as_str()).filter(|rest| rest.is_empty())
}

fn copy<'b>(text: Text<'_>, arena: &mut Arena<'b>) -> Option<&'b str> {
    arena.filled(|room| text.copy(room).map(str::len))
}
