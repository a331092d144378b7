//! Values of literals, without a compiler.

use serde_json::Value;
use syn::parse::Parser;

/// The value of a literal: numbers, booleans and strings, also in `vec![..]`, `None`, `Some(..)`,
/// `Vec::new()` and `String::from(..)`. None for any other expression.
pub(super) fn value_of_literal(expression: &syn::Expr) -> Option<Value> {
    match expression {
        syn::Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Bool(value) => Some(Value::from(value.value)),
            syn::Lit::Str(value) => Some(Value::from(value.value())),
            syn::Lit::Int(value) => {
                value
                    .base10_parse::<u64>()
                    .ok()
                    .map(Value::from)
                    .or_else(|| {
                        (value.suffix() == "f64")
                            .then(|| value.base10_parse::<f64>().ok().map(Value::from))?
                    })
            }
            syn::Lit::Float(value) => value.base10_parse::<f64>().ok().map(Value::from),
            _ => None,
        },
        syn::Expr::Unary(syn::ExprUnary {
            op: syn::UnOp::Neg(_),
            expr,
            ..
        }) => {
            let value = value_of_literal(expr)?;
            match value.as_i64() {
                Some(number) => Some(Value::from(-number)),
                None => value.as_f64().map(|number| Value::from(-number)),
            }
        }
        syn::Expr::Paren(inner) => value_of_literal(&inner.expr),
        syn::Expr::Macro(call) if call.mac.path.is_ident("vec") => {
            type Elements = syn::punctuated::Punctuated<syn::Expr, syn::Token![,]>;
            let elements = Elements::parse_terminated
                .parse2(call.mac.tokens.clone())
                .ok()?;
            elements
                .iter()
                .map(value_of_literal)
                .collect::<Option<Vec<_>>>()
                .map(Value::Array)
        }
        syn::Expr::Path(path) if path.path.is_ident("None") => Some(Value::Null),
        syn::Expr::MethodCall(call) if call.args.is_empty() => {
            let is_conversion = ["to_owned", "to_string", "into"]
                .iter()
                .any(|name| call.method == name);
            value_of_literal(&call.receiver).filter(|value| is_conversion && value.is_string())
        }
        syn::Expr::Call(call) => {
            let syn::Expr::Path(function) = &*call.func else {
                return None;
            };
            let names: Vec<_> = function
                .path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            match (&names[..], call.args.len()) {
                (["Vec", "new"], 0) => Some(Value::Array(Vec::new())),
                (["String", "new"], 0) => Some(Value::from("")),
                (["Some"], 1) => value_of_literal(&call.args[0]),
                (["String", "from"], 1) => value_of_literal(&call.args[0]).filter(Value::is_string),
                _ => None,
            }
        }
        _ => None,
    }
}
