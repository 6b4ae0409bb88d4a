package auth0test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"
)

// A collection is one kind of object that the Management API keeps: clients,
// grants, connections, APIs. The methods on it are the API's; what differs
// from kind to kind is in the members.
type collection[T any] struct {
	tenant *Tenant
	name   string // of the list in answers
	items  func(*Config) *[]T
	is     func(T, string) bool // whether the id in a path means it
	// missing is the 404; deleting what is not there is no error.
	missing *managementError
	view    func(T, *managementRequest) map[string]any
	// always are members that the parameter fields does not take out of a list.
	always []string
	// filters are the parameters of a list, by name.
	filters map[string]func(T, string) bool
	// required are a new object's members, readOnly those that no request may
	// have, fixed those that cannot be changed.
	required, readOnly, fixed []string
	// adding and changing complete or refuse an object.
	adding   func(cfg *Config, item *T, given map[string]json.RawMessage) error
	changing func(cfg *Config, old T, item *T, given map[string]json.RawMessage) error
	// later says that Auth0 deletes in its own time, and answers with a date.
	later bool
	// removing takes out what cannot be without the object.
	removing func(cfg *Config, item T) error
}

func (c *collection[T]) find(cfg *Config, id string) *T {
	return find(*c.items(cfg), func(item T) bool { return c.is(item, id) })
}

func (c *collection[T]) list(r *managementRequest) (reply, error) {
	page, err := r.page(append(slices.Collect(maps.Keys(c.filters)), numbered, checkpoints, fields)...)
	if err != nil {
		return reply{}, err
	}
	list := []any{}
	for _, item := range *c.items(c.tenant.cfg()) {
		if c.matches(item, r) {
			list = append(list, c.view(item, r))
		}
	}
	return page.reply(c.name, list, r, c.always...), nil
}

// matches wants one of a filter's values, and all filters.
func (c *collection[T]) matches(item T, r *managementRequest) bool {
	q := r.URL.Query()
	for name, filter := range c.filters {
		if q.Has(name) && !slices.ContainsFunc(q[name], func(value string) bool { return filter(item, value) }) {
			return false
		}
	}
	return true
}

func (c *collection[T]) get(r *managementRequest) (reply, error) {
	item := c.find(c.tenant.cfg(), r.PathValue("id"))
	if item == nil {
		return reply{}, c.missing
	}
	return reply{http.StatusOK, selectFields(c.view(*item, r), r)}, nil
}

func (c *collection[T]) create(r *managementRequest) (reply, error) {
	var item T
	given, err := r.readObject(&item, c.readOnly...)
	if err == nil {
		err = require(given, c.required...)
	}
	if err != nil {
		return reply{}, err
	}
	err = c.tenant.change(func(cfg *Config) error {
		if err := c.adding(cfg, &item, given); err != nil {
			return err
		}
		items := c.items(cfg)
		*items = append(*items, item)
		if err := cfg.accept(c.tenant.base); err != nil {
			return err
		}
		item = (*items)[len(*items)-1]
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, c.view(item, r)}, nil
}

func (c *collection[T]) patch(r *managementRequest) (reply, error) {
	var item T
	err := c.tenant.change(func(cfg *Config) error {
		stored := c.find(cfg, r.PathValue("id"))
		if stored == nil {
			return c.missing
		}
		old := *stored
		given, err := readPatch(r, stored, slices.Concat(c.readOnly, c.fixed)...)
		if err == nil && c.changing != nil {
			err = c.changing(cfg, old, stored, given)
		}
		if err == nil {
			err = cfg.accept(c.tenant.base)
		}
		item = *stored
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, c.view(item, r)}, nil
}

func (c *collection[T]) delete(r *managementRequest) (reply, error) {
	found := false
	err := c.tenant.change(func(cfg *Config) error {
		item := c.find(cfg, r.PathValue("id"))
		if item == nil {
			return nil
		}
		found = true
		gone := *item
		items := c.items(cfg)
		*items = slices.DeleteFunc(*items, func(item T) bool { return c.is(item, r.PathValue("id")) })
		if c.removing == nil {
			return nil
		}
		return c.removing(cfg, gone)
	})
	if found && c.later {
		return reply{http.StatusAccepted, map[string]string{"deleted_at": timestamp(time.Now())}}, err
	}
	return reply{http.StatusNoContent, nil}, err
}

// accept completes a changed configuration and refuses what Auth0 would.
func (cfg *Config) accept(base string) error {
	cfg.fillDefaults(base)
	if err := cfg.validate(); err != nil {
		return invalidBody("%v", err)
	}
	return nil
}
