"""What `--format` takes and tables show: Go templates, JSON, units, columns, in Docker's forms.

`template` has the engine (a Go text/template), with `tokens`, `nodes`, `parser`, `evaluate`,
`functions` beneath it; `values` says how data looks to a template; `printing` and `gojson` write
values as Go's fmt and encoding/json do; `rows` puts it together for a list of things.
"""
