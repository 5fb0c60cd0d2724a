//! Between the client's object and the stored one: defaults, owners, what the server fills in,
//! admission, generation, and everything that may be wrong.

use serde_json::Value;

use super::write_request::{By, WriteRequest};
use super::{addresses, complete, managed, metadata, rules, status_isolation};
use crate::json::object;
use crate::model::resource::Origin;
use crate::model::schemas;
use crate::model::status::{ApiError, Cause};
use crate::model::strategy::Strategy;
use crate::state::admission::Operation;

/// The pipeline between the client's object and the stored one.
pub fn prepare(
    call: &WriteRequest<'_>,
    mut object: Value,
    old: Option<&Value>,
    by: By,
    mut causes: Vec<Cause>,
) -> Result<Value, ApiError> {
    let resource = call.resource;
    let name = object::name(&object).to_owned();
    // Who writes a number of replicas does not write the rest anew.
    if !is_scale(call) {
        schemas::default(resource, &mut object);
    }
    // What the server fills in belongs to nobody; what it fills into a definition are defaults.
    let is_definition = resource.strategy == Strategy::CustomResourceDefinition;
    if is_definition {
        fill_in(call, &mut object, old);
    }
    if by == By::Update {
        managed::update(call, old, &mut object);
    }
    if !is_definition {
        fill_in(call, &mut object, old);
    }
    if resource.strategy == Strategy::Service && call.subresource.is_none() {
        let unfit = addresses::complete(&mut object, old);
        if !unfit.is_empty() {
            return Err(ApiError::invalid(resource, &name, unfit));
        }
    }
    let review = call.review(&name, operation(old), old);
    mutate(call, &mut object, old)?;
    metadata::check_kind(resource, &object)?;
    metadata::set_generation(resource, call.subresource, &mut object, old);
    causes.extend(faults(call, &object, old));
    if !causes.is_empty() {
        return Err(ApiError::invalid(resource, &name, causes));
    }
    settle(call, &mut object);
    if call.subresource.is_none() || old.is_none() {
        let mut warnings = call.warnings.borrow_mut();
        warnings.extend(metadata::finalizer_warnings(resource, &object, old));
        warnings.extend(rules::warnings(resource, &object, old));
    }
    for hook in &call.core.hooks {
        hook.validate(&review, &object)?;
    }
    Ok(object)
}

fn is_scale(call: &WriteRequest<'_>) -> bool {
    call.subresource == Some("scale")
}

/// Fills in what is the server's: of a changed object what the old one had, of a new one its
/// beginnings.
fn fill_in(call: &WriteRequest<'_>, object: &mut Value, old: Option<&Value>) {
    let resource = call.resource;
    match old {
        Some(old) => {
            metadata::carry_over(object, old, true);
            status_isolation::keep(resource, call.subresource, object, old);
        }
        None => {
            status_isolation::begin(resource, object);
            schemas::default(resource, object);
        }
    }
    complete::complete(call.core, resource, object, old);
}

/// Everything that is wrong with the object, in the order in which clients are told.
fn faults(call: &WriteRequest<'_>, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let (resource, subresource) = (call.resource, call.subresource);
    let mut causes = metadata::validate(resource, object, old);
    causes.extend(schemas::validate(resource, subresource, object, old));
    causes.extend(rules::validate(
        call.core,
        resource,
        subresource,
        object,
        old,
    ));
    causes
}

/// Gives a custom object the form in which it is read back.
fn settle(call: &WriteRequest<'_>, object: &mut Value) {
    let resource = call.resource;
    if !resource.is_kubernetes_own() {
        // What an apply left is not read before it is stored: until here it counts.
        schemas::prune(resource, object);
    }
    if resource.origin == Origin::Custom {
        object::whole_numbers(object);
    }
}

fn operation(old: Option<&Value>) -> Operation {
    match old {
        None => Operation::Create,
        Some(_) => Operation::Update,
    }
}

/// Lets the hooks fill in what they will.
pub fn mutate(
    call: &WriteRequest<'_>,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let name = object::name(object).to_owned();
    let review = call.review(&name, operation(old), old);
    let hooks = call.core.hooks.iter();
    let mut hooks = hooks.filter(|hook| hook.concerns(&review)).peekable();
    if hooks.peek().is_none() {
        return Ok(());
    }
    // A number of replicas that the kind does not know is dropped when it is stored, and not before.
    let is_whole = !is_scale(call);
    if is_whole {
        schemas::default(call.resource, object);
    }
    for hook in hooks {
        hook.mutate(&review, object)?;
    }
    if is_whole {
        schemas::prune(call.resource, object);
        schemas::default(call.resource, object);
    }
    Ok(())
}
