"""From an OCI runtime-spec `config` to the first instruction of a container: spec, plan, steps, zygote."""
