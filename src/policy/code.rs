//! The stable codes of diagnostics. A code is never given a second meaning. The texts stand where the mistake is found.
//! P045x belongs to plugins as files; the other P04xx codes are the sandbox's, which names them itself.

/// The text is not TOML.
pub(super) const SYNTAX: &str = "P0101";
/// A file of the policy cannot be read.
pub(super) const UNREADABLE: &str = "P0102";
/// A file of the policy is not UTF-8.
pub(super) const NOT_UTF8: &str = "P0103";
/// A file, or all of them together, are more than any policy needs.
pub(super) const TOO_LARGE: &str = "P0104";
/// Files include one another in a circle.
pub(super) const INCLUDE_CYCLE: &str = "P0105";
/// The language version is not one this program knows.
pub(super) const VERSION: &str = "P0106";
/// `policy` is not the first key.
pub(super) const NOT_FIRST: &str = "P0107";

/// A required key is missing.
pub(super) const MISSING_KEY: &str = "P0201";
/// A value has the wrong type.
pub(super) const WRONG_TYPE: &str = "P0202";
/// Of several keys exactly one must be written.
pub(super) const EXACTLY_ONE: &str = "P0203";
/// The key is part of the language but not of this version.
pub(super) const NOT_SUPPORTED: &str = "P0204";
/// A name has characters that names do not have.
pub(super) const BAD_NAME: &str = "P0205";
/// A name is defined twice.
pub(super) const REDEFINED: &str = "P0206";
/// No such key.
pub(super) const UNKNOWN_KEY: &str = "P0207";
/// The key is known but has no effect where it stands.
pub(super) const NO_EFFECT: &str = "P0208";

/// A name refers to nothing.
pub(super) const UNKNOWN_NAME: &str = "P0301";
/// `{ var = ".." }` names no variable.
pub(super) const UNKNOWN_VAR: &str = "P0302";
/// `{ env = ".." }` names a variable that is not set.
pub(super) const UNSET_ENV: &str = "P0303";
/// An environment overrides what is not there, or with another type.
pub(super) const BAD_OVERRIDE: &str = "P0304";
/// The environment asked for is not in the policy.
pub(super) const UNKNOWN_ENVIRONMENT: &str = "P0305";
/// A file that a value refers to cannot be read.
pub(super) const MISSING_FILE: &str = "P0306";

/// A plugin's manifest cannot be read, or is for another ABI.
pub(super) const BAD_MANIFEST: &str = "P0427";
/// A plugin's configuration does not fit its manifest.
pub(super) const BAD_CONFIG: &str = "P0453";
/// A plugin that usually looks at the text is shown none.
pub(super) const NO_TEXT: &str = "P0459";
/// The plugin's bytes are not those the policy pins.
pub(super) const SHA256_MISMATCH: &str = "P0451";
/// The text is not a sha256.
pub(super) const BAD_SHA256: &str = "P0452";

/// The plugin is not signed, and must be.
pub(super) const NOT_SIGNED: &str = "P0454";
/// The plugin's signature is not of the key that the policy names.
pub(super) const BAD_SIGNATURE: &str = "P0455";
/// The key that must have signed a plugin is not in the trust root.
pub(super) const UNTRUSTED_KEY: &str = "P0456";
/// A plugin's archive cannot be unpacked.
pub(super) const BAD_ARCHIVE: &str = "P0457";

/// A duration, size, number or date is malformed.
pub(super) const BAD_VALUE: &str = "P0501";
/// The value is not one of those there are.
pub(super) const NOT_ONE_OF: &str = "P0502";
/// The value is too small or too large.
pub(super) const OUT_OF_RANGE: &str = "P0503";
/// The text is not an address.
pub(super) const BAD_ADDRESS: &str = "P0504";
/// The text is not a SQLSTATE that an error may carry.
pub(super) const BAD_SQLSTATE: &str = "P0505";
/// A secret stands in the policy.
pub(super) const PLAIN_SECRET: &str = "P0506";
/// The text is not a verifier, hash, certificate or key.
pub(super) const BAD_CREDENTIAL: &str = "P0507";
/// A matcher's value is malformed.
pub(super) const BAD_MATCHER: &str = "P0508";
/// A list or text is empty.
pub(super) const EMPTY: &str = "P0509";

/// A certificate, a key and what is asked of them do not work together. Found by what builds TLS from a policy.
pub const TLS_UNUSABLE: &str = "P0511";
/// The text is not a regular expression.
pub(super) const BAD_PATTERN: &str = "P0512";

/// A stage has no action or several.
pub(super) const ACTION_COUNT: &str = "P0601";
/// The action is not possible at the hook.
pub(super) const ACTION_AT_HOOK: &str = "P0602";
/// The matcher or field has no value at the hook.
pub(super) const VALUE_AT_HOOK: &str = "P0603";
/// `on_failure = "open"` where a failure must refuse.
pub(super) const OPEN_REFUSED: &str = "P0604";
/// A stage or pipeline that nothing uses.
pub(super) const UNUSED: &str = "P0605";
/// A stage stands at a hook it does not declare.
pub(super) const UNDECLARED_HOOK: &str = "P0606";
/// A limit is above its ceiling.
pub(super) const ABOVE_CEILING: &str = "P0607";
/// A name stands twice in one list.
pub(super) const LISTED_TWICE: &str = "P0608";
/// Something is used that the stage's permissions do not grant.
pub(super) const NOT_GRANTED: &str = "P0609";
/// A statement that must be proven to change nothing is not.
pub(super) const NOT_READ_ONLY: &str = "P0611";
/// A statement gets another number of arguments than it takes.
pub(super) const ARGUMENT_COUNT: &str = "P0612";
/// A waiver that is past.
pub(super) const WAIVER_ENDED: &str = "P0613";
/// Settings that contradict one another.
pub(super) const CONTRADICTION: &str = "P0610";

/// A stage that others before it in the same list never let be asked.
pub(super) const UNREACHABLE_STAGE: &str = "P0701";
/// A stage that refuses, behind one that allows some of the same.
pub(super) const ALLOW_BEFORE_DENY: &str = "P0702";
/// Two keys of `when` exclude each other.
pub(super) const NEVER_MATCHES: &str = "P0703";
/// `unless` holds wherever `when` does.
pub(super) const UNLESS_COVERS: &str = "P0704";
/// A guard that fits no user, listener, pool or login of the policy.
pub(super) const FITS_NOTHING: &str = "P0705";
/// A name that nothing uses.
pub(super) const UNUSED_NAME: &str = "P0711";
/// A user without a proof, where other machines can connect.
pub(super) const TRUST_BEYOND_LOOPBACK: &str = "P0721";
/// A secret that everybody on the machine can read.
pub(super) const READABLE_SECRET: &str = "P0722";
/// A plugin's hash that is not written in the policy.
pub(super) const HASH_ELSEWHERE: &str = "P0723";
/// A stage whose failure lets statements pass.
pub(super) const FAILS_OPEN: &str = "P0724";
/// A stage that refuses, and only watches or is off.
pub(super) const DENY_WITHOUT_EFFECT: &str = "P0725";
/// A waiver that is nearly past.
pub(super) const WAIVER_ENDS: &str = "P0726";
/// Stages that no test can reach.
pub(super) const UNTESTED: &str = "P0731";
/// A test that cannot fail.
pub(super) const EXPECTS_NOTHING: &str = "P0732";
/// Permissions that no stage uses.
pub(super) const WIDER_THAN_NEEDED: &str = "P0741";
