package chromium

import (
	"fmt"
	"net/http"
)

// serveApp is an application that opens the link pages in a popup window, as
// Auth0's UI components do, and closes it when it has come back.
func serveApp(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch r.URL.Path {
	case "/":
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>App</title><h1>App</h1>
<button onclick="popup = open(new URLSearchParams(location.search).get('link'), 'link', 'width=400,height=600')">Connect</button>`)
	case "/close":
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>Back</title><h1>Back at the app</h1>
<button onclick="setTimeout(() => window.close(), 100)">Close</button>`)
	default:
		http.NotFound(w, r)
	}
}
