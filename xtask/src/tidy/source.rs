//! What one Rust source file declares and refers to: its modules, its items, and the paths that lead out of it.
//!
//! Documentation is not looked at: it may name what the code must not import.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// A path in a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `crate`, `super`, `self` or the name that it begins with, and what follows; `*` stands for everything.
    pub path: Vec<String>,
    /// Counted from one.
    pub line: usize,
    /// The modules of the same file that it is inside of.
    pub inside: Vec<String>,
    /// Whether it stands in code that a macro of `quote` makes, which runs in another crate than this one.
    pub is_written_for_others: bool,
    /// Whether it is an import that others may import from here.
    pub is_passed_on: bool,
}

/// A name that a module gets by an import.
#[derive(Clone, Debug)]
pub struct Import {
    /// The name; `*` for everything.
    pub name: String,
    pub reference: Reference,
}

/// A module that stands in another file.
#[derive(Debug)]
pub struct Declaration {
    pub name: String,
    /// The modules of the same file that it is declared inside of.
    pub inside: Vec<String>,
    /// What its `#[path]` says.
    pub path: Option<PathBuf>,
}

/// An import for tests that others may import on.
#[derive(Debug)]
pub struct TestDoor {
    pub line: usize,
    /// Whether those others are all in the module around.
    pub is_for_parent: bool,
}

/// One source file.
#[derive(Debug, Default)]
pub struct Source {
    pub declarations: Vec<Declaration>,
    /// Names of what it defines, outside of inner modules.
    pub items: Vec<String>,
    /// Imports outside of functions and inner modules; those inside are references only.
    pub imports: Vec<Import>,
    /// Paths outside of imports, and imports inside of functions and modules.
    pub references: Vec<Reference>,
    /// All names outside of imports.
    pub words: Vec<String>,
    /// Imports that only tests may import from here.
    pub test_doors: Vec<TestDoor>,
    /// The names that it gives to its own crate, with their lines.
    pub own_names: Vec<(usize, String)>,
    /// Where code or names come in by a way that is not followed, and what to do instead.
    pub unseen: Vec<(usize, &'static str)>,
    inside: Vec<String>,
    is_quoted: bool,
}

/// Macros whose tokens become code of another crate.
const QUOTES: [&str; 4] = ["quote", "quote_spanned", "parse_quote", "parse_quote_spanned"];

const INCLUDE: &str =
    "`include!` brings in code that tidy does not see; make it a module, declared by a plain `mod`";
const MACRO_USE: &str =
    "`#[macro_use]` on a module hands on macros that nobody imports; pass them on by `pub(crate) use`";
const PATH_IF: &str =
    "tidy does not follow a `path` in a `cfg_attr`; declare the module by a `#[path]` below a `#[cfg]`";

/// What an `include!` names that brings in what a build script has made.
const MADE_BY_BUILD: &str = "\"OUT_DIR\"";

impl Source {
    /// Reads a file's text.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let file =
            syn::parse_file(text).with_context(|| format!("cannot read {} as Rust", path.display()))?;
        let mut source = Self::default();
        source.visit_file(&file);
        Ok(source)
    }

    /// Whether a module of this file has one of this name in another file.
    pub fn declares(&self, inside: &[String], name: &str) -> bool {
        self.declarations.iter().any(|declared| declared.inside == inside && declared.name == name)
    }

    fn reference(&mut self, path: Vec<String>, line: usize) {
        if path.len() > 1 {
            self.references.push(Reference {
                path,
                line,
                inside: self.inside.clone(),
                is_written_for_others: self.is_quoted,
                is_passed_on: false,
            });
        }
    }

    fn import(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>, is_passed_on: bool) {
        let (name, path, span) = match tree {
            syn::UseTree::Path(path) => {
                prefix.push(plain(&path.ident));
                self.import(&path.tree, prefix, is_passed_on);
                prefix.pop();
                return;
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(tree, prefix, is_passed_on));
                return;
            }
            syn::UseTree::Name(name) => (plain(&name.ident), plain(&name.ident), name.span()),
            syn::UseTree::Rename(rename) => (plain(&rename.rename), plain(&rename.ident), rename.span()),
            syn::UseTree::Glob(glob) => ("*".to_owned(), "*".to_owned(), glob.span()),
        };
        let mut full = prefix.clone();
        let name = match name.as_str() {
            // The module itself, under its own name.
            "self" => full.last().cloned().unwrap_or_default(),
            _ => name,
        };
        if path != "self" {
            full.push(path);
        }
        let reference = Reference {
            path: full,
            line: span.start().line,
            inside: self.inside.clone(),
            is_written_for_others: self.is_quoted,
            is_passed_on,
        };
        self.imports.push(Import { name, reference });
    }

    /// Paths in tokens that are nobody's syntax but a macro's.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut index = 0;
        while index < tokens.len() {
            if let [TokenTree::Ident(name), TokenTree::Punct(call), TokenTree::Group(file), ..] =
                &tokens[index..]
                && name == "include"
                && call.as_char() == '!'
                && !file.to_string().contains(MADE_BY_BUILD)
            {
                self.unseen.push((name.span().start().line, INCLUDE));
            }
            let words = tokens[index..].iter().map_while(|token| match token {
                TokenTree::Ident(ident) => Some(ident),
                _ => None,
            });
            if let [first, of, own, by, name] = words.take(5).collect::<Vec<_>>()[..]
                && first == "extern"
                && of == "crate"
                && own == "self"
                && by == "as"
            {
                self.own_names.push((name.span().start().line, plain(name)));
            }
            match &tokens[index] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(ident) => {
                    self.words.push(plain(ident));
                    let mut paths = Vec::new();
                    let read = paths_in(&tokens[index..], &[], &mut paths);
                    for path in paths {
                        self.reference(path, ident.span().start().line);
                    }
                    index += read;
                    continue;
                }
                _ => {}
            }
            index += 1;
        }
    }
}

/// Adds the path at the beginning of tokens, or the paths if it ends as an import of several names does, and tells how
/// many tokens they are.
fn paths_in(tokens: &[TokenTree], prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let mut read = 0;
    while let Some(TokenTree::Ident(ident)) = tokens.get(read) {
        // In braces `self` is the module, which is as much as all that is in it.
        let is_module = !prefix.is_empty() && read == 0 && ident == "self";
        path.push(if is_module { "*".to_owned() } else { plain(ident) });
        read += 1;
        if !(is_punct(tokens.get(read), ':') && is_punct(tokens.get(read + 1), ':')) {
            // `use crate as other`: all that is in it, by another name.
            let is_renamed = matches!(tokens.get(read), Some(TokenTree::Ident(word)) if word == "as");
            if is_renamed && (ident == "crate" || ident == "super") {
                path.push("*".to_owned());
            }
            break;
        }
        match tokens.get(read + 2) {
            Some(TokenTree::Ident(_)) => read += 2,
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for part in inner.split(|token| is_punct(Some(token), ',')) {
                    if !part.is_empty() {
                        paths_in(part, &path, paths);
                    }
                }
                return read + 3;
            }
            star if is_punct(star, '*') => {
                path.push("*".to_owned());
                read += 3;
                break;
            }
            _ => break,
        }
    }
    if read == 0 && is_punct(tokens.first(), '*') {
        path.push("*".to_owned());
    }
    paths.push(path);
    read
}

fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

impl<'ast> Visit<'ast> for Source {
    // Documentation, and what conditions say.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    // `pub(in path)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_ident(&mut self, ident: &'ast Ident) {
        self.words.push(plain(ident));
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        if self.inside.is_empty() {
            let name = match item {
                syn::Item::Const(item) => Some(&item.ident),
                syn::Item::Enum(item) => Some(&item.ident),
                syn::Item::Fn(item) => Some(&item.sig.ident),
                syn::Item::Macro(item) => item.ident.as_ref(),
                syn::Item::Mod(item) => Some(&item.ident),
                syn::Item::Static(item) => Some(&item.ident),
                syn::Item::Struct(item) => Some(&item.ident),
                syn::Item::Trait(item) => Some(&item.ident),
                syn::Item::Type(item) => Some(&item.ident),
                syn::Item::Union(item) => Some(&item.ident),
                _ => None,
            };
            self.items.extend(name.map(plain));
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_passed_on = !matches!(item.vis, syn::Visibility::Inherited);
        if is_passed_on && self.inside.is_empty() && item.attrs.iter().any(is_for_tests) {
            let is_for =
                |name| matches!(&item.vis, syn::Visibility::Restricted(to) if to.path.is_ident(name));
            if !is_for("self") {
                self.test_doors.push(TestDoor {
                    line: item.use_token.span().start().line,
                    is_for_parent: is_for("super"),
                });
            }
        }
        let known = self.imports.len();
        self.import(&item.tree, &mut Vec::new(), is_passed_on);
        if !self.inside.is_empty() {
            let inner: Vec<Import> = self.imports.drain(known..).collect();
            self.references.extend(inner.into_iter().map(|import| import.reference));
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let line = item.span().start().line;
        match &item.rename {
            Some((_, name)) if item.ident == "self" => self.own_names.push((line, plain(name))),
            _ => self.reference(vec![plain(&item.ident), "*".to_owned()], line),
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        for attribute in &item.attrs {
            let line = attribute.span().start().line;
            let has = |name: &str| match &attribute.meta {
                syn::Meta::List(list) => {
                    list.path.is_ident("cfg_attr") && has_word(list.tokens.clone(), name)
                }
                _ => false,
            };
            if attribute.path().is_ident("macro_use") || has("macro_use") {
                self.unseen.push((line, MACRO_USE));
            }
            if has("path") {
                self.unseen.push((line, PATH_IF));
            }
        }
        match &item.content {
            Some((_, items)) => {
                self.inside.push(plain(&item.ident));
                items.iter().for_each(|item| self.visit_item(item));
                self.inside.pop();
            }
            None => self.declarations.push(Declaration {
                name: plain(&item.ident),
                inside: self.inside.clone(),
                path: path_of(&item.attrs),
            }),
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        // What a function imports is not for others; its `super` is that of the module around it.
        let known = self.imports.len();
        visit::visit_block(self, block);
        let inner: Vec<Import> = self.imports.drain(known..).collect();
        self.references.extend(inner.into_iter().map(|import| import.reference));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|segment| plain(&segment.ident)).collect();
        self.reference(names, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        let is_one_of = |names: &[&str]| {
            call.path.segments.last().is_some_and(|name| names.iter().any(|one| name.ident == one))
        };
        if is_one_of(&["include"]) && !call.tokens.to_string().contains(MADE_BY_BUILD) {
            self.unseen.push((call.path.span().start().line, INCLUDE));
        }
        let around = self.is_quoted;
        self.is_quoted |= is_one_of(&QUOTES);
        self.tokens(call.tokens.clone());
        self.is_quoted = around;
    }
}

/// Whether an attribute is a condition that tests fulfil and that names them.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    fn asks_for_tests(tokens: TokenStream) -> bool {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        tokens.iter().enumerate().any(|(index, token)| match token {
            TokenTree::Ident(ident) => ident == "test",
            TokenTree::Group(group) => {
                let is_denied =
                    index > 0 && matches!(&tokens[index - 1], TokenTree::Ident(ident) if ident == "not");
                !is_denied && asks_for_tests(group.stream())
            }
            _ => false,
        })
    }
    matches!(&attribute.meta, syn::Meta::List(list) if list.path.is_ident("cfg") && asks_for_tests(list.tokens.clone()))
}

/// A name without the `r#` that changes nothing in it.
fn plain(name: &Ident) -> String {
    name.unraw().to_string()
}

fn has_word(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => has_word(group.stream(), word),
        _ => false,
    })
}

/// What `#[path = "..."]` says.
fn path_of(attributes: &[syn::Attribute]) -> Option<PathBuf> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("path"))?;
    let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value else { return None };
    Some(text.value().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(references: &[Reference]) -> Vec<(String, usize, String)> {
        references
            .iter()
            .map(|reference| (reference.path.join("::"), reference.line, reference.inside.join("::")))
            .collect()
    }

    #[test]
    fn finds_what_leads_out_of_a_file() {
        let text = r#"//! [`crate::shown`] is only named.
use crate::a::{self, b as c, d::*};
pub(crate) use e::F;
#[path = "other.rs"]
mod e;
/// As [`crate::shown`].
fn g() {
    use super::h;
    crate::i::j(e::F);
    println!("{}", crate::k::L);
    n! { use crate::{o::{self, P as q}, r::*}; }
}
mod inner {
    use super::super::m;
}
"#;
        let source = Source::parse(Path::new("a.rs"), text).unwrap();
        let imports: Vec<Reference> = source.imports.iter().map(|import| import.reference.clone()).collect();
        let expected = [("crate::a", 2), ("crate::a::b", 2), ("crate::a::d::*", 2), ("e::F", 3)];
        assert_eq!(paths(&imports), expected.map(|(path, line)| (path.to_owned(), line, String::new())));
        let names: Vec<&str> = source.imports.iter().map(|import| import.name.as_str()).collect();
        assert_eq!(names, ["a", "c", "*", "F"]);
        assert_eq!(source.imports.iter().filter(|import| import.reference.is_passed_on).count(), 1);
        let references = paths(&source.references);
        for expected in [
            ("super::h", 8, ""),
            ("crate::i::j", 9, ""),
            ("e::F", 9, ""),
            ("crate::k::L", 10, ""),
            ("crate::o::*", 11, ""),
            ("crate::o::P", 11, ""),
            ("crate::r::*", 11, ""),
            ("super::super::m", 14, "inner"),
        ] {
            assert!(
                references
                    .iter()
                    .any(|(path, line, inside)| (path.as_str(), *line, inside.as_str()) == expected),
                "{expected:?} {references:?}"
            );
        }
        assert!(!references.iter().any(|(path, ..)| path.contains("shown")), "{references:?}");
        assert_eq!(source.declarations[0].path.as_deref(), Some(Path::new("other.rs")));
        assert_eq!(source.items, ["e", "g", "inner"]);
    }
}
