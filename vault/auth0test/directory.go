package auth0test

import (
	"encoding/json"
	"sync"
	"sync/atomic"
)

// A directory holds what the Management API changes. Whoever reads gets a
// snapshot that nobody ever changes: what one request found stays as it was,
// whatever others do meanwhile.
type directory struct {
	changing sync.Mutex // one change at a time
	current  atomic.Pointer[Config]
}

// cfg is the configuration as it is now, with all defaults. It must not be
// changed; see change.
func (t *Tenant) cfg() *Config { return t.directory.current.Load() }

// change edits a copy of the configuration and puts it in place, unless edit
// says that it cannot be. What edit adds gets its defaults.
func (t *Tenant) change(edit func(*Config) error) error {
	t.directory.changing.Lock()
	defer t.directory.changing.Unlock()
	next, err := t.cfg().clone()
	if err != nil {
		return err
	}
	if err := edit(&next); err != nil {
		return err
	}
	next.fillDefaults(t.base)
	t.directory.current.Store(&next)
	return nil
}

// clone is a deep copy.
func (cfg *Config) clone() (Config, error) {
	data, err := json.Marshal(cfg)
	if err != nil {
		return Config{}, err
	}
	out, err := ParseConfig(data)
	if err != nil {
		return Config{}, err
	}
	out.takeFunctions(cfg.Actions)
	return out, nil
}

// Config returns a copy of the tenant's configuration as it is now, with all
// defaults.
func (t *Tenant) Config() Config {
	cfg, err := t.cfg().clone()
	if err != nil {
		panic(err) // it has been through JSON before
	}
	return cfg
}
