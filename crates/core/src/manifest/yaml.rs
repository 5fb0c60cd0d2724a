//! YAML text to documents with places: anchors and merge keys resolved, duplicate keys
//! kept as findings, so that one wrong line does not hide which object it is in.

use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};

use super::node::{At, Entry, Kind, Node};
use super::scalar;
use super::schema::join;
use super::words::{Words, say};

/// How many nodes aliases may add to a document. Kubernetes refuses an object beyond
/// 3 MiB of JSON anyway; ten levels of ten aliases would be 10^10 nodes.
const MAX_ALIASED: usize = 100_000;

/// How deep values may lie in one another: a manifest needs a dozen levels, and what is
/// built up level by level is also taken down so, on a stack that has an end.
const MAX_DEPTH: usize = 128;

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// Its text, for guesses about what could not be parsed.
    pub text: std::ops::Range<usize>,
    /// What it says, or why it says nothing.
    pub content: Result<Parsed, Wrong>,
}

/// A document that could be read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub root: Node,
    /// What is wrong in it nevertheless.
    pub wrong: Vec<Wrong>,
}

/// Something wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub at: At,
    pub field: String,
    pub message: Words,
    pub hint: Option<Words>,
}

impl Wrong {
    pub fn new(at: At, message: impl Into<Words>) -> Self {
        Self {
            at,
            field: String::new(),
            message: message.into(),
            hint: None,
        }
    }

    pub fn hint(mut self, hint: impl Into<Words>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }
}

/// The hint to put a value into quotes.
pub(super) fn quote_it(text: &str) -> Words {
    say("quote it: \"").quote(text).ours("\"")
}

/// Splits a file at its `---` lines, as kubectl does, and parses each part alone: what is
/// wrong in one costs only that one. Parts without content are left out.
pub(super) fn documents(text: &str) -> Vec<Document> {
    let mut documents = Vec::new();
    let (mut start, mut first_line) = (0, 1);
    let mut at = 0;
    for (line, content) in (1..).zip(text.split_inclusive('\n')) {
        if at > start && is_separator(content) {
            push(&mut documents, text, start..at, first_line);
            (start, first_line) = (at, line);
        }
        at += content.len();
    }
    push(&mut documents, text, start..at, first_line);
    documents
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn push(documents: &mut Vec<Document>, text: &str, range: std::ops::Range<usize>, line: u32) {
    let part = text.get(range.clone()).unwrap_or_default();
    let said = part.lines().any(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', '%']) && line != "---" && line != "..."
    });
    if said {
        parse(documents, part, range, line);
    }
}

fn parse(documents: &mut Vec<Document>, part: &str, range: std::ops::Range<usize>, line: u32) {
    let mut composer = Composer::new(line - 1);
    let document = |content| Document {
        text: range.clone(),
        content,
    };
    for event in Parser::new_from_str(part) {
        let done = match event {
            Ok((event, span)) => composer.take(event, &span),
            Err(error) => {
                let at = composer.place(error.marker());
                Err(syntax(part, line, at, reason(&error)))
            }
        };
        match done {
            Ok(None) => {}
            // A part with `...` in it can hold further documents.
            Ok(Some(parsed)) if parsed.root.is_null() && parsed.wrong.is_empty() => {}
            Ok(Some(parsed)) => documents.push(document(Ok(parsed))),
            Err(wrong) => {
                documents.push(document(Err(wrong)));
                return;
            }
        }
    }
}

/// The parser's words.
fn reason(error: &ScanError) -> Words {
    let words = say("this is not YAML: ");
    match error.kind() {
        // These have something of the file in them.
        ErrorKind::UnexpectedCharacter { character } if !character.is_control() => {
            words.quote(error.info())
        }
        ErrorKind::InputDecoding { .. } | ErrorKind::InputIo { .. } | ErrorKind::Custom(_) => {
            words.quote(error.info())
        }
        _ => words.ours(error.info()),
    }
}

/// The parser's words, and ours where we know better.
fn syntax(part: &str, first_line: u32, at: At, words: Words) -> Wrong {
    let wrong = Wrong::new(at, words);
    for (number, line) in (first_line..).zip(part.lines()) {
        let here = |message: &'static str| {
            Wrong::new(
                At {
                    line: number,
                    column: 1,
                },
                message,
            )
        };
        if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") || line == "=======" {
            return here("a merge conflict was committed")
                .hint("resolve it and remove the conflict markers");
        }
    }
    let column_of_tab = |line: &str| {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        line.get(..indent)?.find('\t')
    };
    let near = [at.line, at.line.saturating_sub(1)];
    for number in near {
        let Some(line) = number
            .checked_sub(first_line)
            .and_then(|n| part.lines().nth(n as usize))
        else {
            continue;
        };
        if let Some(column) = column_of_tab(line) {
            let at = At {
                line: number,
                column: column as u32 + 1,
            };
            return Wrong::new(at, "YAML is not indented with tabs")
                .hint("use blanks, two for each level");
        }
        if line.contains("{{") {
            return wrong.hint(
                "this looks like a template: commit what it renders to, Sluice does not render it",
            );
        }
    }
    wrong.hint("check indentation, colons and quotes here and in the line above")
}

/// A map or list that is still open.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(String, At)>,
    keys: HashSet<String>,
    /// Maps that `<<` names, nearest first.
    merges: Vec<Node>,
}

struct Composer {
    lines_before: u32,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
    root: Option<Node>,
    wrong: Vec<Wrong>,
}

impl Composer {
    fn new(lines_before: u32) -> Self {
        Self {
            lines_before,
            open: Vec::new(),
            anchors: HashMap::new(),
            aliased: 0,
            root: None,
            wrong: Vec::new(),
        }
    }

    fn place(&self, marker: &granit_parser::Marker) -> At {
        At {
            line: self.lines_before + marker.line() as u32,
            column: marker.col() as u32 + 1,
        }
    }

    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Parsed>, Wrong> {
        let at = self.place(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(at, &text, style, tag.as_deref())?;
                self.close(node, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(at, Kind::List(Vec::new()), anchor, tag.as_deref(), "seq")?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.begin(at, Kind::Map(Vec::new()), anchor, tag.as_deref(), "map")?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let anchor = open.anchor;
                    let node = self.merged(open);
                    self.close(node, anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(Wrong::new(at, "this alias is inside of what it stands for")
                        .hint("write the value out"));
                };
                self.aliased += size;
                if self.aliased > MAX_ALIASED {
                    return Err(Wrong::new(
                        at,
                        say("aliases (*name) make this document larger than ")
                            .ours(MAX_ALIASED)
                            .ours(" values"),
                    )
                    .hint("write the values out, or split the file"));
                }
                let node = Node { at, ..node.clone() };
                self.close(node, 0)?;
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                self.aliased = 0;
                let wrong = std::mem::take(&mut self.wrong);
                return Ok(self.root.take().map(|root| Parsed { root, wrong }));
            }
            _ => {}
        }
        Ok(None)
    }

    fn begin(
        &mut self,
        at: At,
        kind: Kind,
        anchor: usize,
        tag: Option<&granit_parser::Tag>,
        core: &str,
    ) -> Result<(), Wrong> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Wrong::new(at, "it is nested too deeply")
                .hint("is a bracket or a quote missing above?"));
        }
        let tag_wrong = tag.is_some_and(|tag| tag.core_suffix() != Some(core));
        if tag_wrong {
            self.unknown_tag(at, tag);
        }
        self.open.push(Open {
            node: Node::new(at, kind),
            anchor,
            key: None,
            keys: HashSet::new(),
            merges: Vec::new(),
        });
        Ok(())
    }

    fn unknown_tag(&mut self, at: At, tag: Option<&granit_parser::Tag>) {
        let name = tag.map(granit_parser::Tag::original).unwrap_or_default();
        self.wrong.push(
            Wrong::new(
                at,
                say("the tag ")
                    .quote(name)
                    .ours(" means nothing to Kubernetes"),
            )
            .hint("remove it, or commit what the tool behind it makes of this file"),
        );
    }

    fn scalar(
        &mut self,
        at: At,
        text: &str,
        style: ScalarStyle,
        tag: Option<&granit_parser::Tag>,
    ) -> Result<Node, Wrong> {
        let kind = match tag {
            Some(tag) => match tag.core_suffix() {
                Some(core) => scalar::tagged(core, text).unwrap_or_else(|| {
                    self.wrong.push(
                        Wrong::new(
                            at,
                            say("\"")
                                .quote(text)
                                .ours("\" cannot be read as ")
                                .quote(tag.original()),
                        )
                        .hint("remove the tag or correct the value"),
                    );
                    Kind::Null
                }),
                // The non-specific tag `!` says: this is a string.
                None if tag.original() == "!" => Kind::String(text.to_owned()),
                None => {
                    self.unknown_tag(at, Some(tag));
                    Kind::String(text.to_owned())
                }
            },
            None if style == ScalarStyle::Plain => scalar::plain(text).unwrap_or_else(|message| {
                self.wrong
                    .push(Wrong::new(at, message).hint(quote_it(text)));
                Kind::Null
            }),
            None => Kind::String(text.to_owned()),
        };
        let written =
            (style == ScalarStyle::Plain && !matches!(kind, Kind::String(_))).then(|| text.into());
        Ok(Node { at, kind, written })
    }

    /// A node is complete: it becomes an item, a key, a value or the document.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), Wrong> {
        if anchor != 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.kind, open.key.take()) {
            (Kind::List(items), _) => items.push(node),
            (Kind::Map(_), None) => {
                let at = node.at;
                let written = node.written.clone();
                let key = key(node)?;
                if let Some(written) = written.filter(|written| **written != *key) {
                    self.wrong.push(
                        Wrong::new(
                            at,
                            say("the key ")
                                .quote(&written)
                                .ours(" is read as \"")
                                .quote(&key)
                                .ours("\" in YAML"),
                        )
                        .hint(quote_it(&written)),
                    );
                }
                open.key = Some((key, at));
            }
            (Kind::Map(entries), Some((key, at))) => {
                if key == "<<" {
                    match node.kind {
                        Kind::Map(_) => open.merges.push(node),
                        Kind::List(items) if items.iter().all(Node::is_map) => {
                            open.merges.extend(items);
                        }
                        _ => {
                            self.wrong.push(
                                Wrong::new(at, "<< takes a map, or a list of maps")
                                    .hint("write <<: *name, with &name on a map above"),
                            );
                        }
                    }
                } else if open.keys.insert(key.clone()) {
                    entries.push(Entry {
                        key,
                        at,
                        value: node,
                    });
                } else {
                    let first = entries.iter().find(|entry| entry.key == key);
                    let line = first.map_or(0, |first| first.at.line);
                    let field = join(&self.path(), &key);
                    self.wrong.push(
                        Wrong::new(at, say("it is already set in line ").ours(line))
                            .field(field)
                            .hint("keep one of the two"),
                    );
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The field that the innermost open map stands at.
    fn path(&self) -> String {
        let outer = self.open.len().saturating_sub(1);
        self.open
            .iter()
            .take(outer)
            .fold(String::new(), |path, open| {
                match (&open.node.kind, &open.key) {
                    (Kind::List(items), _) => format!("{path}[{}]", items.len()),
                    (_, Some((key, _))) => join(&path, key),
                    _ => path,
                }
            })
    }

    /// A map with what its `<<` bring in: own fields first, then the nearest.
    fn merged(&mut self, open: Open) -> Node {
        let Open {
            mut node,
            mut keys,
            merges,
            ..
        } = open;
        if let Kind::Map(entries) = &mut node.kind {
            for merge in merges {
                let Kind::Map(more) = merge.kind else {
                    continue;
                };
                for entry in more {
                    if keys.insert(entry.key.clone()) {
                        entries.push(entry);
                    }
                }
            }
        }
        node
    }
}

/// A key as JSON has it; kubectl writes a key that is a boolean or a number as its text.
fn key(node: Node) -> Result<String, Wrong> {
    match node.kind {
        Kind::String(text) => Ok(text),
        Kind::Bool(value) => Ok(value.to_string()),
        Kind::Number(number) => Ok(number.to_string()),
        Kind::Null => Err(Wrong::new(node.at, "a key is empty").hint("give it a name, or quote it")),
        Kind::List(_) | Kind::Map(_) => Err(Wrong::new(
            node.at,
            "a key cannot be a list or a map",
        )
        .hint("{{ ... }} without quotes is such a key: a template must be rendered before it is committed")),
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::List(items) => items.iter().map(size).sum(),
        Kind::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
        _ => 0_usize,
    }
}
