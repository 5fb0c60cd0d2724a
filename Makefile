# `make test` is the README's test command: formatting, lints, every test.
.PHONY: test fmt clippy unit kubectl bench demo

SLUICE_CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/sluice
export SLUICE_CACHE

test: fmt clippy kubectl unit real

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --quiet -- -D warnings

# The suite's stories mostly wait for a cluster: ten side by side take hardly longer than two.
unit:
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-10} cargo test --workspace --quiet

# The kubectl of the transcript test, from its Go module; skipped, loudly, where Go is missing.
kubectl:
	@if [ -x tests/kubectl/build.sh ]; then tests/kubectl/build.sh; fi

# Dependencies that no code names.
.PHONY: unused
unused:
	@if command -v cargo-machete >/dev/null; then cargo machete; \
	else echo "=== NOT CHECKED for unused dependencies: cargo-machete is not here (cargo install --locked cargo-machete)" >&2; fi

demo:
	cargo run --release -- demo

bench:
	cargo bench

# A real Kubernetes with a real Knative as processes of this machine; see tests/bed/README.md.
.PHONY: bed bed-up bed-down real test-real

bed:
	tests/bed/build.sh

bed-up: bed
	tests/bed/bed up --detach

bed-down:
	tests/bed/bed down

# The stories of every cluster, and those of real ones, told on a bed of their own.
STORIES ?= $(addprefix scenarios::,adoption deleted drift faults::down faults::stopped first hidden lifted newer people quiet refusals releases several traffic watch) \
	an_api_server_that_is_lost_in time_without_the_api_server of_two_agents_the_other an_agent_process_that \
	real:: --skip a_refused_template_is_tried_again
test-real: bed
	cargo build --bins --tests
	tests/bed/bed run -- cargo test --offline --quiet --test suite -- --test-threads $(or $(AT_ONCE),3) $(STORIES)

# The same random requests to our API server and to a real one; see docs/conformance.md.
.PHONY: conformance
conformance: bed
	cargo build --bins --tests
	tests/bed/bed run -- cargo test --offline --quiet --test suite -- --ignored --test-threads 1 conformance::

# The share of the real cluster's stories that every `make test` tells, where this machine can have a bed. Where it cannot, that is
# said; SLUICE_REQUIRE_BED makes it a failure.
SHARE ?= real::evidence::every_step real::kinds real::deploy::the_rights_of scenarios::first::a_first_delivery_is_probed \
	scenarios::releases::what_is_never_ready scenarios::releases::a_crash_before_it_listens \
	scenarios::drift::traffic_changed_by_hand_is_corrected scenarios::refusals::a_refused_first_delivery
# Of the same random requests, 1,000 about each area that passes, always the same ones.
LIKE ?= $(addprefix conformance::,config_maps services deployments deliveries knative_objects admission lists defined)
real: export LIKE := $(LIKE)
real:
	@tests/bed/share --test-threads $(or $(AT_ONCE),3) $(SHARE)
