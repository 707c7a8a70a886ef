// deny_ddl in AssemblyScript: refuses schema changes and grants, unless the user has one of the roles that the configuration
// lists. Written from plugins/README.md alone; the same answers as ../deny_ddl in Rust gives. It allocates nothing: the stub
// runtime never frees, and strings of AssemblyScript are UTF-16, so texts are compared and written byte by byte.

// @ts-ignore: decorators of AssemblyScript
@external("pgwarden1", "config")
declare function hostConfig(path: usize, pathLength: u32, out: usize, room: u32): i32;

const USER_ROLES: u16 = 3;
const SQL_KINDS: u16 = 41;

const HEADER: u32 = 12;
const ENTRY: u32 = 12;
const NO_VALUE: u32 = 0xffffffff;

const INPUT_BYTES: u32 = 16384;
const INPUT = memory.data(16384);
const ANSWER = memory.data(512);
const WORD = memory.data(16); // a path of the configuration, or a kind
const ROLE_BYTES: u32 = 128;
const ROLE = memory.data(128);

let end: usize = 0;

export function pgw_alloc(length: u32): usize {
  return length <= INPUT_BYTES ? INPUT : 0;
}

export function pre_query(frame: usize, length: u32): u64 {
  return decide(frame, length);
}

export function authorize(frame: usize, length: u32): u64 {
  return decide(frame, length);
}

function decide(frame: usize, length: u32): u64 {
  if (has(frame, length, SQL_KINDS, "ddl")) return unlessExempt(frame, length, "ddl");
  if (has(frame, length, SQL_KINDS, "grant")) return unlessExempt(frame, length, "grant");
  if (has(frame, length, SQL_KINDS, "unparsed")) return unlessExempt(frame, length, "unparsed");
  return 0; // nothing to say
}

function unlessExempt(frame: usize, length: u32, kind: string): u64 {
  return isExempt(frame, length) ? 0 : deny(kind);
}

/** The entry of a field, or 0 where it is missing. */
function entryOf(frame: usize, length: u32, id: u16): usize {
  const count = load<u16>(frame, 8);
  for (let i: u32 = 0; i < count; i++) {
    const entry = frame + HEADER + ENTRY * i;
    if (load<u16>(entry) != id) continue;
    const offset = load<u32>(entry, 4);
    return offset <= length && load<u32>(entry, 8) <= length - offset ? entry : 0;
  }
  return 0;
}

/** Whether a list of the input holds a text of ASCII. */
function has(frame: usize, length: u32, id: u16, wanted: string): bool {
  end = WORD;
  put(wanted);
  return hasBytes(frame, length, id, WORD, <u32>wanted.length);
}

/** Whether a list of the input holds the same bytes. */
function hasBytes(frame: usize, length: u32, id: u16, wanted: usize, wantedSize: u32): bool {
  const entry = entryOf(frame, length, id);
  if (!entry) return false;
  let at = frame + load<u32>(entry, 4);
  const last = at + load<u32>(entry, 8);
  while (last - at >= 4) {
    const size = load<u32>(at);
    at += 4;
    if (size == NO_VALUE) continue;
    if (size > <u32>(last - at)) return false;
    if (size == wantedSize && memory.compare(at, wanted, size) == 0) return true;
    at += size;
  }
  return false;
}

function isExempt(frame: usize, length: u32): bool {
  for (let i: u32 = 0; i < 64; i++) {
    end = WORD;
    put("roles.");
    if (i >= 10) store<u8>(end++, <u8>(0x30 + i / 10));
    store<u8>(end++, <u8>(0x30 + (i % 10)));
    const size = hostConfig(WORD, <u32>(end - WORD), ROLE, ROLE_BYTES);
    if (size < 0 || <u32>size > ROLE_BYTES) return false;
    if (hasBytes(frame, length, USER_ROLES, ROLE, <u32>size)) return true;
  }
  return false;
}

/** A refusal with a message, a code and a hint. */
function deny(kind: string): u64 {
  const before = "schema changes (";
  const after = ") go through migrations";
  const code = "42501";
  const hint = "ask someone with a role that may";
  const message = before.length + kind.length + after.length;
  end = ANSWER;
  put("pga1");
  put16(0); // minor
  put16(3); // refuse
  put16(3); // entries
  put16(0);
  let at = HEADER + 3 * ENTRY;
  at = putEntry(1, at, message);
  at = putEntry(2, at, code.length);
  putEntry(3, at, hint.length);
  put(before);
  put(kind);
  put(after);
  put(code);
  put(hint);
  return ((<u64>ANSWER) << 32) | <u64>(end - ANSWER);
}

function putEntry(id: u16, offset: u32, size: u32): u32 {
  put16(id);
  put16(1); // text
  store<u32>(end, offset);
  store<u32>(end, size, 4);
  end += 8;
  return offset + size;
}

function put16(value: u16): void {
  store<u16>(end, value);
  end += 2;
}

function put(text: string): void {
  for (let i = 0; i < text.length; i++) store<u8>(end++, <u8>text.charCodeAt(i));
}
