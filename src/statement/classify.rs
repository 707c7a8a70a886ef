//! What a statement is and does, from its tokens alone: kinds, read-only, session effect, prepared-statement names.
//! Owns the rules of verbs; calls of functions are in `calls`, boundaries in `split`.
//!
//! One pass, no allocation, no tree. Where tokens cannot decide, the answer is the stricter one: a kind too many, a
//! write too many, never one too few. What no text shows is not pretended either: function and procedure bodies, DO
//! blocks, views, rules, triggers, user-defined operators, casts and types can write without a trace here.

use super::calls::Calls;
use super::keyword::Keyword;
use super::kind::Kind;
use super::kind::KindSet;
use super::kind::SessionEffect;
use super::lexer::Lexeme;
use super::piece::History;
use super::piece::Piece;
use super::split::Boundary;
use super::verbs;

mod outside;

/// What the classifier found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    pub(crate) kinds: KindSet,
    pub(crate) read_only: bool,
    pub(crate) effect: SessionEffect,
    pub(crate) names: Names,
}

/// Where a statement names a prepared statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names {
    Nothing,
    Prepare { name: Piece, body: usize },
    Execute(Piece),
    Deallocate(Option<Piece>),
}

/// What the next token means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// A verb must come.
    Verb,
    /// Inside a SELECT, INSERT, UPDATE, DELETE, MERGE, CALL or EXECUTE.
    Query,
    /// EXPLAIN, before its options.
    Explain,
    /// Inside the parentheses of EXPLAIN's options.
    ExplainOptions,
    /// PREPARE and DEALLOCATE want a name.
    PrepareName,
    /// PREPARE, after its name.
    PrepareTypes,
    ExecuteName,
    DeallocateName,
    /// COPY outside its query.
    Copy,
    /// CREATE before what is created.
    Create,
    /// CREATE TABLE or MATERIALIZED VIEW, whose AS begins a query.
    CreateAs,
    CreateSchema,
    /// CREATE of anything else.
    CreateOther,
    Declare,
    /// SET, DISCARD and ALTER: the next two words tell.
    SecondWord(Keyword),
    /// Nothing more to learn.
    Rest,
}

/// Takes the tokens of one statement.
#[derive(Clone, Debug)]
pub(crate) struct Classifier<'a> {
    text: &'a str,
    boundary: Boundary,
    history: History,
    mode: Mode,
    kinds: KindSet,
    read_only: bool,
    effect: SessionEffect,
    names: Names,
    calls: Calls,
    /// A WITH was seen, or the statement is a COPY: verbs may follow.
    verbs: bool,
    copy: bool,
    temporary: bool,
}

impl<'a> Classifier<'a> {
    /// Before the first token.
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            boundary: Boundary::new(),
            history: History::new(),
            mode: Mode::Verb,
            kinds: KindSet::EMPTY,
            read_only: true,
            effect: SessionEffect::None,
            names: Names::Nothing,
            calls: Calls::new(),
            verbs: false,
            copy: false,
            temporary: false,
        }
    }

    /// Whether a `;` here ends the statement.
    #[inline]
    pub(crate) fn is_outside(&self) -> bool {
        self.boundary.is_outside()
    }

    /// Whether no token was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.history.count() == 0
    }

    /// Takes the next token.
    #[inline]
    pub(crate) fn step(&mut self, mut piece: Piece) {
        self.boundary.step(&piece);
        if self.mode == Mode::Query {
            self.calls
                .step(self.text, &self.history, &mut piece, self.boundary.depth());
            self.query(&piece);
        } else {
            self.elsewhere(&piece);
        }
        if self.boundary.is_in_body()
            && (piece.lexeme == Lexeme::Semicolon || piece.is(Keyword::Atomic))
        {
            self.mode = Mode::Verb;
        }
        if self.copy
            && piece.lexeme == Lexeme::Close
            && self.boundary.depth() == 0
            && self.mode == Mode::Query
        {
            self.mode = Mode::Copy;
        }
        self.history.push(piece);
    }

    /// What was found, once the last token was taken.
    pub(crate) fn finish(mut self) -> Class {
        let unfinished = matches!(
            self.mode,
            Mode::Verb
                | Mode::Explain
                | Mode::PrepareName
                | Mode::PrepareTypes
                | Mode::ExecuteName
                | Mode::Declare
        );
        if unfinished && !self.is_empty() {
            self.unparsed();
        }
        if let Mode::SecondWord(verb) = self.mode {
            self.second_word(verb, &Piece::NONE);
        }
        if self.mode == Mode::DeallocateName {
            // `DEALLOCATE prepare`: the word is the name after all.
            self.names = Names::Deallocate(Some(self.history.back(1)));
        }
        if self.kinds.is_empty() && self.mode == Mode::Query {
            self.kinds = KindSet::of(Kind::Select); // WITH .. VALUES
        }
        if self.kinds.is_empty() && !self.is_empty() {
            self.unparsed();
        }
        if self.temporary {
            self.leave(SessionEffect::Session);
        }
        self.leave(self.calls.effect());
        let read_only =
            self.read_only && self.calls.are_harmless() && !self.kinds.contains(Kind::Unparsed);
        Class {
            kinds: self.kinds,
            read_only,
            effect: self.effect,
            names: self.names,
        }
    }

    fn unparsed(&mut self) {
        self.write(Kind::Unparsed);
        self.leave(SessionEffect::Session);
        self.mode = Mode::Rest;
    }

    fn write(&mut self, kind: Kind) {
        self.kinds = self.kinds.with(kind);
        self.read_only = false;
    }

    fn leave(&mut self, effect: SessionEffect) {
        self.effect = self.effect.max(effect);
    }

    fn rest(&mut self, kind: Kind, effect: SessionEffect) {
        self.write(kind);
        self.leave(effect);
        self.mode = Mode::Rest;
    }

    fn query_of(&mut self, kind: Kind) {
        self.write(kind);
        self.mode = Mode::Query;
    }

    /// A statement begins here.
    fn verb(&mut self, piece: &Piece) {
        let word = match (piece.lexeme, piece.word()) {
            (Lexeme::Open, _) => return,
            (_, Some(word)) => word,
            _ => return self.unparsed(),
        };
        match word {
            Keyword::Select | Keyword::Values | Keyword::Table => {
                self.kinds = self.kinds.with(Kind::Select);
                self.mode = Mode::Query;
            }
            Keyword::With => {
                self.verbs = true;
                self.calls.enter_with(self.boundary.depth());
                self.mode = Mode::Query;
            }
            Keyword::Insert => self.query_of(Kind::Insert),
            Keyword::Update => self.query_of(Kind::Update),
            Keyword::Delete => self.query_of(Kind::Delete),
            Keyword::Merge => self.query_of(Kind::Merge),
            Keyword::Call => self.query_of(Kind::Call),
            Keyword::Explain => self.open(Kind::Explain, Mode::Explain),
            Keyword::Show => self.open(Kind::Show, Mode::Rest),
            Keyword::Copy => {
                self.copy = true;
                self.verbs = true;
                self.mode = Mode::Copy;
            }
            Keyword::Declare => {
                self.read_only = false;
                self.leave(SessionEffect::Transaction);
                self.mode = Mode::Declare;
            }
            _ => self.prepared(word),
        }
    }

    fn open(&mut self, kind: Kind, mode: Mode) {
        self.kinds = self.kinds.with(kind);
        self.mode = mode;
    }

    fn prepared(&mut self, word: Keyword) {
        self.read_only = false;
        match word {
            Keyword::Prepare => self.mode = Mode::PrepareName,
            Keyword::Execute => self.open(Kind::Execute, Mode::ExecuteName),
            Keyword::Deallocate => {
                self.leave(SessionEffect::Session);
                self.open(Kind::Prepare, Mode::DeallocateName);
            }
            // In the body of a routine.
            Keyword::Return if !self.is_empty() => self.mode = Mode::Query,
            Keyword::End if !self.is_empty() => self.mode = Mode::Rest,
            _ => self.utility(word),
        }
    }

    fn utility(&mut self, word: Keyword) {
        match word {
            Keyword::Create => self.open(Kind::Ddl, Mode::Create),
            Keyword::Alter => self.open(Kind::Ddl, Mode::SecondWord(word)),
            Keyword::Set | Keyword::Discard => self.open(Kind::Set, Mode::SecondWord(word)),
            _ => match verbs::plain(word) {
                Some((kind, effect)) => self.rest(kind, effect),
                None => self.unparsed(),
            },
        }
    }

    /// A token outside queries.
    fn elsewhere(&mut self, piece: &Piece) {
        match self.mode {
            Mode::Verb => self.verb(piece),
            Mode::Rest | Mode::Query => {}
            Mode::Explain => self.explain(piece),
            Mode::ExplainOptions => {
                if self.boundary.depth() == 0 {
                    self.mode = Mode::Verb;
                }
            }
            Mode::PrepareName | Mode::PrepareTypes | Mode::ExecuteName | Mode::DeallocateName => {
                self.name(piece)
            }
            Mode::Copy => self.copy(piece),
            Mode::Create | Mode::CreateAs | Mode::CreateSchema | Mode::CreateOther => {
                self.create(piece)
            }
            Mode::Declare => match piece.word() {
                Some(Keyword::Hold) if self.history.back(1).is(Keyword::With) => {
                    self.leave(SessionEffect::Session)
                }
                Some(Keyword::For) => self.mode = Mode::Verb,
                _ => {}
            },
            Mode::SecondWord(verb) => {
                if !self.history.back(1).is(verb) || self.history.back(2).lexeme != Lexeme::End {
                    self.second_word(verb, piece);
                }
            }
        }
    }

    /// A token of a query.
    #[inline]
    fn query(&mut self, piece: &Piece) {
        let last = self.history.back(1);
        if piece.is_name() && last.is(Keyword::Update) && self.verbs && self.is_verb_place(2) {
            self.write(Kind::Update);
        }
        let Some(word) = piece.word() else {
            if piece.lexeme == Lexeme::Dot && self.temporary_target() {
                self.temporary = true;
            }
            return;
        };
        // After a dot or AS any word is a label.
        if last.lexeme == Lexeme::Dot || last.is(Keyword::As) {
            return;
        }
        match word {
            Keyword::Select | Keyword::Table => self.kinds = self.kinds.with(Kind::Select),
            Keyword::With => self.verbs = true,
            Keyword::Into if last.is(Keyword::Insert) => self.write(Kind::Insert),
            Keyword::Into if last.is(Keyword::Merge) => self.write(Kind::Merge),
            Keyword::Into => self.write(Kind::Ddl),
            Keyword::Temp | Keyword::Temporary
                if last.is(Keyword::Into)
                    || last.is(Keyword::Local)
                    || last.is(Keyword::Global) =>
            {
                self.temporary |= self.kinds.contains(Kind::Ddl);
            }
            Keyword::From if last.is(Keyword::Delete) && self.verbs && self.is_verb_place(2) => {
                self.write(Kind::Delete)
            }
            Keyword::Update | Keyword::Share | Keyword::No | Keyword::Key
                if last.is(Keyword::For) =>
            {
                self.read_only = false;
            }
            Keyword::Update if last.is(Keyword::Do) => self.write(Kind::Update),
            Keyword::Insert | Keyword::Update | Keyword::Delete
                if last.is(Keyword::Then) && self.kinds.contains(Kind::Merge) =>
            {
                self.write(match word {
                    Keyword::Insert => Kind::Insert,
                    Keyword::Update => Kind::Update,
                    _ => Kind::Delete,
                });
            }
            _ => {}
        }
    }

    /// Whether the piece before the verb that stands `back - 1` places back can come before a verb: nothing, a
    /// parenthesis, or the last name of a SEARCH or CYCLE clause. FOR NO KEY UPDATE is no verb.
    fn is_verb_place(&self, back: usize) -> bool {
        let before = self.history.back(back);
        match before.lexeme {
            Lexeme::End | Lexeme::Open | Lexeme::Close | Lexeme::Quoted | Lexeme::UnicodeQuoted => {
                true
            }
            Lexeme::Word if before.is(Keyword::Key) => !self.history.back(back + 1).is(Keyword::No),
            Lexeme::Word => !before.is_reserved(),
            _ => false,
        }
    }

    /// Whether `pg_temp.` of `SELECT INTO pg_temp.x` was just read.
    fn temporary_target(&self) -> bool {
        let back = if self.history.back(2).is(Keyword::Table) {
            3
        } else {
            2
        };
        self.history.back(back).is(Keyword::Into)
            && is_temporary_schema(self.history.back(1).of(self.text))
    }
}

/// `pg_temp` and `pg_temp_3`, quoted or not; a U& name may be either.
fn is_temporary_schema(name: &str) -> bool {
    let name = name.trim_start_matches('"');
    name.starts_with("U&")
        || name.starts_with("u&")
        || name
            .get(..7)
            .is_some_and(|head| head.eq_ignore_ascii_case("pg_temp"))
}

#[cfg(test)]
mod tests;
