//! `cargo relib inspect`: what a module's file says of itself, and whether it would load in a host.
//!
//! It must not load anything: the file may be broken, for another platform, or nobody's to trust.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use relib::{Build, Fit, HostInspection, Inspection, InterfaceInfo};
use serde_json::{Value, json};

use crate::console::{BAD, FAINT, GOOD, MessageFormat, NAME, WARNING, styled};
use crate::exit;

#[derive(clap::Args)]
pub struct Arguments {
    /// The file of a module: a .so or a .dll, of whatever platform
    file: PathBuf,
    /// Say whether this host would load the module; it is not run
    #[arg(long, value_name = "BINARY")]
    host: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    message_format: MessageFormat,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let module = relib::inspect(&arguments.file)?;
    let host = arguments.host.as_ref().map(relib::inspect_host).transpose()?;
    let fit = host.as_ref().map(|host| module.fit(host));
    match arguments.message_format {
        MessageFormat::Human => {
            let mut text = describe_module(&module);
            if let (Some(host), Some(fit)) = (&host, &fit) {
                text += &describe_fit(&module, host, fit);
            }
            anstream::print!("{text}");
        }
        MessageFormat::Json => {
            let mut value = module_json(&module);
            if let (Some(host), Some(fit)) = (&host, &fit) {
                value["host"] = fit_json(&module, host, fit);
            }
            println!("{value:#}");
        }
    }
    let loads = fit.is_none_or(|fit| would_load(&module, &fit));
    Ok(if loads { ExitCode::SUCCESS } else { ExitCode::from(exit::NO) })
}

/// Whether the structure of the file can be judged here: only by the rules of its own platform.
fn is_of_this_platform(module: &Inspection) -> bool {
    module.build.target == Build::of_this_program().target
}

fn would_load(module: &Inspection, fit: &Fit) -> bool {
    fit.problems.is_empty() && (module.structure.is_ok() || !is_of_this_platform(module))
}

fn describe_module(module: &Inspection) -> String {
    let Build { abi_version, relib_version, rustc, target, panic_strategy, .. } = &module.build;
    let structure = match &module.structure {
        Ok(()) => styled(GOOD, "whole"),
        Err(_) if !is_of_this_platform(module) => {
            styled(FAINT, "not verified: this is done on the module's own platform")
        }
        Err(error) => styled(BAD, error),
    };
    let rows = [
        ("file", module.path.display().to_string()),
        ("structure", format!("{}, {structure}", module.format)),
        ("compiler", rustc.clone()),
        ("target", target.clone()),
        ("panic", panic_strategy.clone()),
        ("relib", format!("{relib_version}, contract {abi_version}")),
        ("main", module.main.clone().unwrap_or_else(|| styled(FAINT, "none"))),
        ("saves", module.saved_state.clone().unwrap_or_else(|| styled(FAINT, "nothing"))),
        ("before_unload", if module.before_unload { "yes".to_owned() } else { styled(FAINT, "none") }),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{NAME}{name:<14}{NAME:#} {value}");
    }
    describe_interfaces(&mut text, "exports", &module.exports);
    describe_interfaces(&mut text, "imports", &module.imports);
    text
}

fn describe_interfaces(text: &mut String, title: &str, interfaces: &[InterfaceInfo]) {
    for interface in interfaces {
        let _ = writeln!(text, "\n{} {}", styled(NAME, title), interface.name);
        for function in &interface.functions {
            let _ = writeln!(text, "    {function}");
        }
        for ty in &interface.types {
            let size = styled(FAINT, format!("// {} bytes, aligned to {}", ty.size, ty.align));
            let _ = writeln!(text, "    {} {size}", ty.definition);
        }
    }
}

fn describe_fit(module: &Inspection, host: &HostInspection, fit: &Fit) -> String {
    let mut text = format!("\n{} {}\n", styled(NAME, "host"), host.path.display());
    for problem in &fit.problems {
        let _ = writeln!(text, "    {} {problem}", styled(BAD, "refuses:"));
    }
    for name in &fit.not_implemented {
        let _ = writeln!(
            text,
            "    {} the host asks modules for `{name}`, which this module does not implement; it can be loaded only \
             where the host does not ask for it",
            styled(WARNING, "note:")
        );
    }
    for name in &fit.perhaps_missing {
        let _ = writeln!(
            text,
            "    {} the host does not provide `{name}`; whether the module calls it does not stand in a DLL",
            styled(WARNING, "note:")
        );
    }
    let _ = if would_load(module, fit) {
        writeln!(text, "    {}", styled(GOOD, "would load"))
    } else {
        writeln!(text, "    {}", styled(BAD, "would not load"))
    };
    text
}

fn module_json(module: &Inspection) -> Value {
    let verified = is_of_this_platform(module);
    let problem = module.structure.as_ref().err().filter(|_| verified).map(ToString::to_string);
    json!({
        "file": module.path,
        "format": module.format.to_string(),
        "structure": { "verified": verified, "problem": problem },
        "build": build_json(&module.build),
        "main": module.main,
        "before_unload": module.before_unload,
        "saves": module.saved_state,
        "exports": interfaces_json(&module.exports),
        "imports": interfaces_json(&module.imports),
    })
}

fn build_json(build: &Build) -> Value {
    json!({
        "rustc": build.rustc,
        "target": build.target,
        "panic": build.panic_strategy,
        "relib": build.relib_version,
        "contract": build.abi_version,
    })
}

fn interfaces_json(interfaces: &[InterfaceInfo]) -> Value {
    let types = |interface: &InterfaceInfo| -> Vec<Value> {
        let describe = |ty: &relib::TypeInfo| json!({ "name": ty.name, "size": ty.size, "align": ty.align, "definition": ty.definition });
        interface.types.iter().map(describe).collect()
    };
    let describe = |interface: &InterfaceInfo| json!({ "name": interface.name, "functions": interface.functions, "types": types(interface) });
    interfaces.iter().map(describe).collect()
}

fn fit_json(module: &Inspection, host: &HostInspection, fit: &Fit) -> Value {
    json!({
        "file": host.path,
        "build": build_json(&host.build),
        "wants": interfaces_json(&host.wanted),
        "provides": interfaces_json(&host.provided),
        "problems": fit.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "not_implemented": fit.not_implemented,
        "perhaps_missing": fit.perhaps_missing,
        "would_load": would_load(module, fit),
    })
}
