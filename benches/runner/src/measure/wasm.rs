//! The same function as WebAssembly. The toolchain of this repository has no WebAssembly target, so it stands here as text.

use std::path::Path;

use anyhow::{Context as _, Result};
use wasmtime::{Engine, Instance, Module, Store, TypedFunc};

use super::calls::per_call;
use super::loading;
use super::turns::{alternate, row, timed};
use crate::effort::Effort;
use crate::peers::{self, Changing, Files};
use crate::results::Results;

/// Calls in one turn.
const CALLS: u64 = 20_000;

const MODULE: &str =
    r#"(module (func (export "add") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1))))"#;

pub fn measure(files: &Files, effort: &Effort, results: &mut Results) -> Result<()> {
    let engine = Engine::default();
    let compiled = Module::new(&engine, MODULE).map_err(failed)?;
    let serialized = compiled.serialize().map_err(failed)?;
    let mut store = Store::new(&engine, ());
    let add = instantiate(&mut store, &compiled)?;
    let module = peers::load_in_place(&files.module)?;

    let mut ours = || per_call(CALLS, |sum, i| module.exports().add(sum, i).context("the module panicked"));
    let mut theirs =
        || per_call(CALLS, |sum, i| Ok(add.call(&mut store, (sum as i64, i as i64)).map_err(failed)? as u64));
    let [ours, theirs] = alternate(effort.rounds, [&mut ours, &mut theirs])?;
    results.rows.push(row(
        "call-u64-wasmtime",
        "export call, u64 in and out",
        "wasmtime",
        ours,
        theirs,
        effort.rounds,
    ));
    peers::unload(module)?;

    let turn = |path: &Path| {
        let (time, module) = timed(|| peers::load_in_place(path))?;
        peers::unload(module)?;
        Ok(time)
    };
    let changing = Changing::new(files.another_module("wasm")?)?;
    files.settle();
    let mut first = || turn(changing.change()?);
    let mut again = || turn(&files.module);
    let mut compiling = || {
        let (time, _) = timed(|| {
            let module = Module::new(&engine, MODULE).map_err(failed)?;
            instantiate(&mut Store::new(&engine, ()), &module)
        })?;
        Ok(time)
    };
    let mut precompiled = || {
        let (time, _) = timed(|| {
            // SAFETY: the bytes were serialised by this very engine.
            let module = unsafe { Module::deserialize(&engine, &serialized) }.map_err(failed)?;
            instantiate(&mut Store::new(&engine, ()), &module)
        })?;
        Ok(time)
    };
    let [first, again, compiling, precompiled] =
        alternate(effort.rounds, [&mut first, &mut again, &mut compiling, &mut precompiled])?;
    let rounds = effort.rounds;
    results.rows.push(row(
        "load-wasmtime",
        loading::FIRST_IN_PLACE,
        "wasmtime, compiling one function",
        first,
        compiling,
        rounds,
    ));
    results.rows.push(row(
        "load-wasmtime-cached",
        loading::IN_PLACE,
        "wasmtime, that function compiled before",
        again,
        precompiled,
        rounds,
    ));
    Ok(())
}

/// wasmtime's errors are of a type of its own.
fn failed(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("wasmtime: {error:#}")
}

fn instantiate(store: &mut Store<()>, module: &Module) -> Result<TypedFunc<(i64, i64), i64>> {
    let instance = Instance::new(&mut *store, module, &[]).map_err(failed)?;
    instance.get_typed_func(store, "add").map_err(failed)
}
