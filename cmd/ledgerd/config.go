package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// configFile is the path of a file that sets flags. Its text is UTF-8, one setting per
// line:
//
//	# where the ledger lies
//	data = /srv/consent
//	public-log = true
//	since = /safe/2026-10.checkpoint
//	since = /safe/2026-11.checkpoint
//
// A name is that of a flag of `serve` without the dashes. A value ends with its line;
// nothing in it is quoted or replaced, and blanks around it do not count. Lines that
// begin with # and empty ones say nothing. Unknown names, names that stand twice
// though the flag is no list, and lines without = are errors, with the line's number.
// At most 64 KiB; nobody but its owner may write it.
type configFile string

// maxConfigSize is more than all settings take.
const maxConfigSize = 64 << 10

// setting is a line of a configuration.
type setting struct {
	line        int
	name, value string
}

// BeforeResolve is called by kong when the flag is given, on the command line or in
// the environment, before the other flags get their values.
func (configFile) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	path, ok := ctx.FlagValue(trace.Flag).(configFile)
	if !ok || path == "" {
		return nil
	}
	text, err := readConfig(string(path))
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	settings, err := parseConfig(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	values, err := resolveConfig(settings, ctx.Flags())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, env := range flag.Envs {
			if _, ok := os.LookupEnv(env); ok {
				return nil, nil
			}
		}
		return values[flag.Name], nil
	}))
	return nil
}

// readConfig reads a configuration. What it says decides who may listen and where
// keys are written, so nobody but its owner may write it.
func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("others may write %s (mode %04o); run: chmod go-w %s", path, info.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	if err == nil && len(text) > maxConfigSize {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxConfigSize)
	}
	return text, err
}

// parseConfig reads the lines of a configuration.
func parseConfig(text []byte) ([]setting, error) {
	var list []setting
	n := 0
	for line := range bytes.Lines(text) {
		n++
		s := strings.TrimRight(string(line), "\r\n")
		if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
			return nil, fmt.Errorf("line %d: is not text", n)
		}
		s = strings.Trim(s, " \t")
		if s == "" || s[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(s, "=")
		name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
		switch {
		case !found || name == "":
			return nil, fmt.Errorf("line %d: is not name = value", n)
		case value == "":
			return nil, fmt.Errorf("line %d: %s has no value; leave the line out for what is so by itself", n, name)
		}
		list = append(list, setting{n, name, value})
	}
	return list, nil
}

// resolveConfig gives the values by the names of their flags, as kong reads them.
func resolveConfig(settings []setting, flags []*kong.Flag) (map[string]any, error) {
	values := map[string]any{}
	for _, s := range settings {
		i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == s.name })
		// What has no environment variable is of one call, such as --json.
		if i < 0 || len(flags[i].Envs) == 0 || flags[i].Target.Type() == reflect.TypeFor[configFile]() {
			return nil, fmt.Errorf("line %d: there is no setting %q; `ledgerd serve --help` lists them, to be written without the dashes", s.line, s.name)
		}
		flag := flags[i]
		list := flag.IsSlice()
		switch {
		case !list && values[s.name] != nil:
			return nil, fmt.Errorf("line %d: %s stands above, too", s.line, s.name)
		case list:
			before, _ := values[s.name].([]any)
			values[s.name] = append(before, s.value)
		case flag.IsBool() && s.value != "true" && s.value != "false":
			return nil, fmt.Errorf("line %d: %s must be true or false", s.line, s.name)
		default:
			// Kong would name the flag and not the line.
			ctx := &kong.DecodeContext{Value: flag.Value, Scan: kong.Scan().PushTyped(s.value, kong.FlagValueToken)}
			if err := flag.Mapper.Decode(ctx, reflect.New(flag.Target.Type()).Elem()); err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", s.line, s.name, err)
			}
			values[s.name] = s.value
		}
	}
	return values, nil
}
