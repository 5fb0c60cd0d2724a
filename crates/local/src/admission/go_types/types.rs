//! How Go's types are written down here.

/// A Go struct that is read from JSON and written to it.
#[derive(Debug)]
pub struct GoStruct {
    /// Its name, without its package.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field of a struct.
#[derive(Debug)]
pub struct Field {
    /// Its name in JSON; that of its type in Go, where it is embedded.
    pub name: &'static str,
    /// Its type.
    pub go_type: GoType,
    /// How it stands in JSON.
    pub form: Form,
}

/// How a field stands in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Always.
    Kept,
    /// Unless it is empty (`omitempty`); structs are never empty to Go.
    Omitted,
    /// As its fields (an embedded struct).
    Inline,
}

/// The type of a value.
#[derive(Debug)]
pub enum GoType {
    /// Text, with the name of its type.
    Text(&'static str),
    /// A truth value.
    Flag,
    /// A number of 32 bits.
    Int32,
    /// A number of 64 bits.
    Int64,
    /// An amount.
    Quantity,
    /// A number or a name.
    IntOrString,
    /// A time in whole seconds.
    Time,
    /// A URL.
    Url,
    /// A struct that nobody may set: nothing is known but its name.
    Opaque(&'static str),
    /// A struct.
    Struct(&'static GoStruct),
    /// Something that may be absent, which is not the same as empty.
    Pointer(&'static GoType),
    /// A list.
    List(&'static GoType),
    /// A map with the name of its type.
    Map(&'static str, &'static GoType),
}

/// Plain text.
pub const TEXT: GoType = GoType::Text("string");

/// A field that is always written.
pub const fn keep(name: &'static str, go_type: GoType) -> Field {
    let form = Form::Kept;
    Field {
        name,
        go_type,
        form,
    }
}

/// A field that is left out when it is empty.
pub const fn omit(name: &'static str, go_type: GoType) -> Field {
    let form = Form::Omitted;
    Field {
        name,
        go_type,
        form,
    }
}

/// An embedded struct.
pub const fn inline(name: &'static str, of: &'static GoStruct) -> Field {
    let (go_type, form) = (GoType::Struct(of), Form::Inline);
    Field {
        name,
        go_type,
        form,
    }
}

impl GoStruct {
    /// The field behind a name in JSON, whatever its case, with the embedded structs on the way to it.
    pub fn find(&self, name: &str) -> Option<(Vec<&'static str>, &'static Field)> {
        for field in self.fields {
            match (&field.go_type, field.form) {
                (GoType::Struct(embedded), Form::Inline) => {
                    if let Some((mut way, found)) = embedded.find(name) {
                        way.insert(0, field.name);
                        return Some((way, found));
                    }
                }
                _ if field.name.eq_ignore_ascii_case(name) => return Some((Vec::new(), field)),
                _ => {}
            }
        }
        None
    }

    /// All fields, those of embedded structs as well.
    pub fn all_fields(&self) -> Vec<&'static Field> {
        let mut all = Vec::new();
        for field in self.fields {
            match (&field.go_type, field.form) {
                (GoType::Struct(embedded), Form::Inline) => all.extend(embedded.all_fields()),
                _ => all.push(field),
            }
        }
        all
    }
}

impl GoType {
    /// Its name in Go.
    pub fn name(&self) -> String {
        match self {
            Self::Text(name) | Self::Opaque(name) | Self::Map(name, _) => (*name).to_owned(),
            Self::Flag => "bool".to_owned(),
            Self::Int32 => "int32".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Quantity => "resource.Quantity".to_owned(),
            Self::IntOrString => "intstr.IntOrString".to_owned(),
            Self::Time => "v1.Time".to_owned(),
            Self::Url => "apis.URL".to_owned(),
            Self::Struct(of) => format!("v1.{}", of.name),
            Self::Pointer(of) => of.name(),
            Self::List(of) => match of {
                Self::Pointer(of) => format!("[]*{}", of.name()),
                of => format!("[]{}", of.name()),
            },
        }
    }
}
