//! What values look like: small universes of keys and words, so that writers meet in them, and now and
//! then a value that does not belong there.

use serde_json::{Map, Value, json};

use super::chance::Chance;

/// What a value may be.
#[derive(Clone)]
pub enum Shape {
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of these numbers.
    Numbers(&'static [i64]),
    /// True or false.
    Flag,
    /// One of these.
    Any(Vec<Value>),
    /// Fields, each there this often of a hundred times.
    Fields(Vec<(&'static str, u32, Shape)>),
    /// Some of these keys, each with such a value.
    Keys(&'static [&'static str], Box<Shape>),
    /// At most so many of these.
    List(usize, Box<Shape>),
    /// A list of one of these.
    One(Box<Shape>),
    /// This often of a hundred times the first, else the second, which rules are against.
    Either(u32, Box<[Shape; 2]>),
    /// The fields of both.
    Both(Box<[Shape; 2]>),
}

pub use Shape::{Any, Fields, Flag, Numbers, Words};

/// Some of these keys.
pub fn keys(names: &'static [&'static str], of: Shape) -> Shape {
    Shape::Keys(names, Box::new(of))
}

/// At most so many of these.
pub fn list(most: usize, of: Shape) -> Shape {
    Shape::List(most, Box::new(of))
}

/// A list of one of these.
pub fn one(of: Shape) -> Shape {
    Shape::One(Box::new(of))
}

/// The first this often of a hundred times, else the second.
pub fn either(of_hundred: u32, first: Shape, second: Shape) -> Shape {
    Shape::Either(of_hundred, Box::new([first, second]))
}

/// How whole a value is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// What has to be there is there.
    Whole,
    /// Some of it, and nulls: a merge patch.
    Merge,
    /// Some of it, with the directives of strategic merge patches.
    Strategic,
}

/// Fields that are there this often or less are what rules are against, for the most part.
const RARE: u32 = 2;

impl Shape {
    /// A value of this shape.
    pub fn value(&self, chance: &mut Chance, form: Form) -> Value {
        if chance.oddly() {
            return odd(chance);
        }
        match self {
            Self::Words(words) => json!(chance.pick(words)),
            Self::Numbers(numbers) => json!(chance.pick(numbers)),
            Self::Flag => json!(chance.percent(50)),
            Self::Any(values) => chance.pick(values).clone(),
            Self::Fields(fields) => {
                let mut object = Map::new();
                for (name, often, shape) in fields {
                    let often = match form {
                        Form::Whole => *often,
                        _ => (*often).min(45),
                    };
                    let is_rare = often <= RARE && chance.sound;
                    if !is_rare && chance.percent(often) {
                        object.insert((*name).to_owned(), shape.member(chance, form));
                    }
                }
                self.spoil(&mut object, chance, form);
                Value::Object(object)
            }
            Self::Keys(names, shape) => {
                let mut object = Map::new();
                for name in *names {
                    if chance.percent(45) {
                        object.insert((*name).to_owned(), shape.member(chance, form));
                    }
                }
                self.spoil(&mut object, chance, form);
                Value::Object(object)
            }
            Self::One(shape) => Value::Array(vec![shape.item(chance, Form::Whole)]),
            Self::Either(of_hundred, shapes) => {
                let [first, second] = &**shapes;
                let shape = if chance.sound || chance.percent(*of_hundred) {
                    first
                } else {
                    second
                };
                shape.value(chance, form)
            }
            Self::Both(shapes) => {
                let mut whole = Value::Object(Map::new());
                for shape in shapes.iter() {
                    if let Value::Object(fields) = shape.value(chance, form) {
                        whole.as_object_mut().unwrap().extend(fields);
                    }
                }
                whole
            }
            Self::List(most, shape) => {
                let form = if form == Form::Merge {
                    Form::Whole
                } else {
                    form
                };
                let mut items: Vec<Value> = (0..chance.below(most + 1))
                    .map(|_| shape.item(chance, form))
                    .collect();
                if chance.odd > 0 && !items.is_empty() && chance.percent(6) {
                    let again = chance.pick(&items).clone();
                    items.push(again);
                }
                Value::Array(items)
            }
        }
    }

    fn member(&self, chance: &mut Chance, form: Form) -> Value {
        let nulls = if form == Form::Whole { 0 } else { 15 };
        if chance.percent(nulls) {
            return Value::Null;
        }
        self.value(chance, form)
    }

    /// The item of a list; what names it is there, in a patch too.
    fn item(&self, chance: &mut Chance, form: Form) -> Value {
        let mut item = self.value(chance, Form::Whole);
        if form == Form::Strategic
            && let Value::Object(fields) = &mut item
            && chance.percent(35)
        {
            let words = *chance.pick(&["delete", "replace", "merge"]);
            if words == "delete" {
                fields.retain(|name, _| {
                    matches!(name.as_str(), "name" | "port" | "containerPort" | "uid")
                });
            }
            fields.insert("$patch".to_owned(), words.into());
        }
        item
    }

    /// Adds what a form of patch has besides, or what belongs nowhere.
    fn spoil(&self, object: &mut Map<String, Value>, chance: &mut Chance, form: Form) {
        if chance.odd > 0 && chance.percent(1) {
            object.insert("unheard".to_owned(), odd(chance));
        }
        if form != Form::Strategic {
            return;
        }
        if chance.percent(6) {
            let words = *chance.pick(&["delete", "replace", "merge", "replace"]);
            object.insert("$patch".to_owned(), words.into());
        }
        if let Self::Fields(fields) = self {
            for (name, _, shape) in fields {
                let Self::List(_, item) = shape else { continue };
                if chance.percent(12) {
                    let directive = match **item {
                        Self::Fields(_) => "$setElementOrder",
                        _ => chance.pick(&["$deleteFromPrimitiveList", "$setElementOrder"]),
                    };
                    let named: Vec<Value> = (0..=chance.below(3))
                        .map(|_| item.item(chance, Form::Whole))
                        .map(only_names)
                        .collect();
                    object.insert(format!("{directive}/{name}"), Value::Array(named));
                }
            }
            if chance.percent(3) {
                let kept: Vec<&str> = fields
                    .iter()
                    .map(|(name, ..)| *name)
                    .filter(|_| chance.percent(50))
                    .collect();
                object.insert("$retainKeys".to_owned(), json!(kept));
            }
        }
    }

    /// A path into such a value, as JSON patches write it, with the shape of what is there.
    pub fn way(&self, chance: &mut Chance) -> (String, &Shape) {
        let stop = chance.percent(18);
        let (step, below) = match self {
            _ if stop => return (String::new(), self),
            Self::Fields(fields) if !fields.is_empty() => {
                let (name, _, shape) = chance.pick(fields);
                ((*name).to_owned(), shape)
            }
            Self::Keys(names, shape) => ((*chance.pick(names)).to_owned(), &**shape),
            Self::List(_, shape) => {
                let at = *chance.pick(&["0", "0", "1", "-", "2", "-1", "01"]);
                (at.to_owned(), &**shape)
            }
            _ => return (String::new(), self),
        };
        let (rest, shape) = below.way(chance);
        let step = step.replace('~', "~0").replace('/', "~1");
        (format!("/{step}{rest}"), shape)
    }
}

fn only_names(mut item: Value) -> Value {
    if let Value::Object(fields) = &mut item {
        fields.retain(|name, _| matches!(name.as_str(), "name" | "port" | "containerPort" | "uid"));
    }
    item
}

/// A value that hardly ever belongs where it is.
pub fn odd(chance: &mut Chance) -> Value {
    let values = [
        Value::Null,
        json!({}),
        json!([]),
        json!(""),
        json!("odd"),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(true),
        json!({"odd": "odd"}),
        json!(["odd"]),
        json!([{}]),
        json!([null]),
    ];
    chance.pick(&values).clone()
}
