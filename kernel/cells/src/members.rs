//! Members that the items of a notebook give to a type.

use serde::{Deserialize, Serialize};
use syn::spanned::Spanned;

use crate::position::offset_of;

/// A member that an item of a notebook gives to a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemMember {
    /// The member's name.
    pub name: String,
    /// The kind of member.
    pub kind: MemberKind,
    /// The declaration as it is written: `score: f64`, `fn double(&self) -> u64`.
    pub signature: String,
}

/// The kinds of members of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberKind {
    /// A field, read with `value.name`.
    Field,
    /// A function with a `self` parameter, called with `value.name()`.
    Method,
    /// A function without a `self` parameter, called with `Type::name()`.
    Function,
    /// A variant of an `enum`.
    Variant,
    /// An associated constant.
    Constant,
}

impl MemberKind {
    /// The kind in lower case, as front ends show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Method => "method",
            Self::Function => "function",
            Self::Variant => "variant",
            Self::Constant => "constant",
        }
    }
}

/// The fields, variants, functions and constants that the item `code` gives to the type
/// `type_name`: its definition, or an `impl` block for it. Empty for any other item.
pub fn members_of(code: &str, type_name: &str) -> Vec<ItemMember> {
    let text = |span: proc_macro2::Span| {
        let (start, end) = (offset_of(code, span.start()), offset_of(code, span.end()));
        code.get(start..end).unwrap_or_default().to_owned()
    };
    let member = |name: &syn::Ident, kind, span| ItemMember {
        name: name.to_string(),
        kind,
        signature: text(span),
    };
    let named_fields = |fields: &syn::Fields| -> Vec<ItemMember> {
        let field = |field: &syn::Field| {
            let name = field.ident.as_ref()?;
            let mut found = member(name, MemberKind::Field, field.ty.span());
            found.signature = format!("{name}: {}", found.signature);
            Some(found)
        };
        fields.iter().filter_map(field).collect()
    };
    match syn::parse_str(code) {
        Ok(syn::Item::Struct(item)) if item.ident == type_name => named_fields(&item.fields),
        Ok(syn::Item::Enum(item)) if item.ident == type_name => item
            .variants
            .iter()
            .map(|variant| member(&variant.ident, MemberKind::Variant, variant.span()))
            .collect(),
        Ok(syn::Item::Impl(item)) if is_named(&item.self_ty, type_name) => item
            .items
            .iter()
            .filter_map(|inner| match inner {
                syn::ImplItem::Fn(function) => {
                    let kind = match function.sig.receiver() {
                        Some(_) => MemberKind::Method,
                        None => MemberKind::Function,
                    };
                    Some(member(&function.sig.ident, kind, function.sig.span()))
                }
                syn::ImplItem::Const(constant) => Some(member(
                    &constant.ident,
                    MemberKind::Constant,
                    constant.span(),
                )),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn is_named(self_type: &syn::Type, name: &str) -> bool {
    match self_type {
        syn::Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == name),
        _ => false,
    }
}
