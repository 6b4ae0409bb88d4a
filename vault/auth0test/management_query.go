package auth0test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

func invalidQuery(format string, args ...any) *managementError {
	return badRequest("invalid_query_string", "Query validation error: '"+format+"'.", args...)
}

// query wants no other parameters than the given ones.
func (r *managementRequest) query(allowed ...string) (url.Values, error) {
	q := r.URL.Query()
	for name := range q {
		if !slices.Contains(allowed, name) {
			return nil, invalidQuery("Additional properties not allowed: %s", name)
		}
	}
	return q, nil
}

// A page is the part of a list that was asked for: by number, or by the
// checkpoint that a list's "next" names.
type page struct {
	number, size int
	totals       bool
	checkpoint   bool
	from         string
}

// The sizes of pages.
const (
	defaultPage = 50
	maxPage     = 100
)

// The parameters of lists: pages by number, by checkpoint, and what items show.
const (
	numbered    = "page per_page include_totals"
	checkpoints = "from take"
	fields      = "fields include_fields"
)

// page reads a list's parameters; those allowed are separated by spaces.
func (r *managementRequest) page(allowed ...string) (page, error) {
	names := strings.Fields(strings.Join(allowed, " "))
	q, err := r.query(names...)
	if err != nil {
		return page{}, err
	}
	p := page{size: defaultPage, totals: q.Get("include_totals") == "true", from: q.Get("from")}
	p.checkpoint = q.Has("take") || q.Has("from") || !slices.Contains(names, "page")
	for name, number := range map[string]*int{"page": &p.number, "per_page": &p.size, "take": &p.size} {
		if !q.Has(name) {
			continue
		}
		n, err := strconv.Atoi(q.Get(name))
		if err != nil || n < 0 {
			return page{}, invalidQuery("Expected type integer but found type string' on property '%s", name)
		}
		if name != "page" && n > maxPage {
			return page{}, invalidQuery("Value %d is greater than maximum %d' on property '%s", n, maxPage, name)
		}
		*number = n
	}
	return p, nil
}

// reply answers a page of a list: bare, with totals, or with a checkpoint.
// The checkpoint is the number of the next item.
func (p page) reply(name string, list []any, r *managementRequest, always ...string) reply {
	start := min(p.number*p.size, len(list))
	if p.checkpoint {
		at, _ := strconv.Atoi(p.from)
		start = min(max(at, 0), len(list))
	}
	end := min(start+p.size, len(list))
	items := make([]any, 0, end-start)
	for _, item := range list[start:end] {
		items = append(items, selectFields(item, r, always...))
	}
	switch {
	case p.checkpoint:
		body := map[string]any{name: items}
		if end < len(list) {
			body["next"] = strconv.Itoa(end)
		}
		return reply{http.StatusOK, body}
	case p.totals:
		body := map[string]any{name: items, "start": p.number * p.size, "limit": p.size, "total": len(list)}
		if name == "users" { // the only list that has it
			body["length"] = len(items)
		}
		return reply{http.StatusOK, body}
	}
	return reply{http.StatusOK, items}
}

// selectFields keeps the members that the parameter fields names, or with
// include_fields=false the others; those that are always there stay.
func selectFields(item any, r *managementRequest, always ...string) any {
	q := r.URL.Query()
	view, ok := item.(map[string]any)
	if !ok || q.Get("fields") == "" {
		return item
	}
	named := strings.Split(q.Get("fields"), ",")
	out := map[string]any{}
	for name, value := range view {
		if slices.Contains(always, name) || slices.Contains(named, name) == (q.Get("include_fields") != "false") {
			out[name] = value
		}
	}
	return out
}
