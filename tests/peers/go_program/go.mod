module team

go 1.25

require github.com/pressly/goose/v3 v3.29.0
