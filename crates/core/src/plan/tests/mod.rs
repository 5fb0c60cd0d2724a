mod claims;
mod diff;
mod properties;
mod scenarios;
