package caddymodule

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// words are the subdirectives of a block. Each parses its arguments.
type words map[string]func(*caddyfile.Dispenser) error

func parseBlock(d *caddyfile.Dispenser, known words) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		parse, ok := known[d.Val()]
		if !ok {
			return d.Errf("unknown word %q: expected %s", d.Val(), known)
		}
		if err := parse(d); err != nil {
			return err
		}
	}
	return nil
}

// String lists the words in errors.
func (w words) String() string {
	if len(w) == 0 {
		return "no block"
	}
	return "one of " + strings.Join(slices.Sorted(maps.Keys(w)), ", ")
}

// scalar parses one argument. what names it in errors.
func scalar(target *string, what string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		value, err := onlyArgument(d, *target != "", what)
		*target = value
		return err
	}
}

// checked is scalar for values that can be judged now; one with a placeholder
// is judged when it has been expanded.
func checked(target *string, what string, check func(string) error) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		value, err := onlyArgument(d, *target != "", what)
		if err != nil {
			return err
		}
		if err := check(value); err != nil && !hasPlaceholder(value) {
			return d.Errf("%s %q: %v; expected %s", word, value, err, what)
		}
		*target = value
		return nil
	}
}

// choice parses one of a few words, or a placeholder for it.
func choice(target *string, options ...string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		what := strings.Join(options, ", ")
		value, err := onlyArgument(d, *target != "", what)
		if err != nil {
			return err
		}
		if !slices.Contains(options, value) && !hasPlaceholder(value) {
			return d.Errf("%s %q: expected one of %s", word, value, what)
		}
		*target = value
		return nil
	}
}

// listOf parses one argument or more. Lines add up.
func listOf(target *[]string, what string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 || slices.Contains(args, "") {
			return d.Errf("%s: expected %s", word, what)
		}
		*target = append(*target, args...)
		return nil
	}
}

// scopeList parses one scope or more. Lines add up.
func scopeList(target *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		var scopes []string
		if err := listOf(&scopes, "scopes, each an argument of its own")(d); err != nil {
			return err
		}
		literal := slices.DeleteFunc(slices.Clone(scopes), hasPlaceholder)
		if err := checkScopes(literal); err != nil {
			return d.Errf("%s: %v", word, err)
		}
		*target = append(*target, scopes...)
		return nil
	}
}

// flag parses a word that says all by itself.
func flag(target *bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if *target {
			return d.Errf("%s: given twice", word)
		}
		if args := d.RemainingArgs(); len(args) > 0 {
			return d.Errf("%s: expected no argument, got %q; leave the line out to turn it off", word, args)
		}
		*target = true
		return nil
	}
}

// duration parses a positive duration.
func duration(target *caddy.Duration) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		const what = "a duration above zero, such as 10s"
		value, err := onlyArgument(d, *target != 0, what)
		if err != nil {
			return err
		}
		parsed, err := caddy.ParseDuration(value)
		if err != nil || parsed <= 0 {
			return d.Errf("%s %q: expected %s", word, value, what)
		}
		*target = caddy.Duration(parsed)
		return nil
	}
}

// count parses a positive whole number.
func count(target *int) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		const what = "a whole number above zero"
		value, err := onlyArgument(d, *target != 0, what)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return d.Errf("%s %q: expected %s", word, value, what)
		}
		*target = n
		return nil
	}
}

// block parses a subdirective that has a block of its own.
func block[T any](target **T, unmarshal func(*T, *caddyfile.Dispenser) error) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if *target != nil {
			return d.Errf("%s: given twice", word)
		}
		if d.NextArg() {
			return d.Errf("%s: expected a block, got %q", word, d.Val())
		}
		*target = new(T)
		return unmarshal(*target, d)
	}
}

// onlyArgument returns the one argument of the current word.
func onlyArgument(d *caddyfile.Dispenser, given bool, what string) (string, error) {
	word := d.Val()
	if given {
		return "", d.Errf("%s: given twice", word)
	}
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return "", d.Errf("%s: expected one argument, %s, got %q", word, what, args)
	}
	return args[0], nil
}
