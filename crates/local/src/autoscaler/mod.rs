//! Holds the autoscaler: it decides how many instances each revision has, from none to many.
//!
//! [`decide`] is pure: what a PodAutoscaler asks for, what the gateway sees and what was
//! decided before go in, a scale comes out. [`run`] is the thin loop around it: it
//! watches PodAutoscalers and their Deployments, hears from the gateway in process (a
//! request that waits for a revision at zero is acted on at once), and writes replicas
//! and status.

pub mod decide;
mod run;
pub mod samples;
pub mod scaler_set;
pub mod settings;
pub mod spec;
pub mod status;

pub use run::run;
pub use spec::AutoscalerConfig;
