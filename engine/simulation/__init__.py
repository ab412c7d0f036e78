"""Run pipelines without a world: virtual time, mocks in place of effects, no network, no database."""
