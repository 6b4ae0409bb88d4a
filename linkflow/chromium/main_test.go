// Package chromium tests the link pages, and Auth0's browser SDK, in a real browser:
// Chromium over the local tenant, without a window, or on a screen of Xvfb's where
// windows matter.
//
// It needs the go command, with which it builds Caddy; /usr/bin/chromium (or CHROMIUM),
// Xvfb, openbox and xdotool; the source of axe-core in the file that AXE_JS names, the
// html-validate command that HTML_VALIDATE names, and Auth0's SDKs in the directory
// node_modules that AUTH0_SDKS names; .ci/browser provides these. What is missing fails
// the tests.
package chromium

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// tools are what the tests need besides Go.
var tools struct {
	chromium     string
	axe          string // source text
	htmlValidate string // path of the command
}

// everybodys is the Chromium that all tests share. Each has a browser context
// of its own in it, with its own cookies.
var everybodys context.Context

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if err := findTools(); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	ctx, stop, err := startChromium()
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: Chromium does not start:", err)
		return 1
	}
	defer stop()
	everybodys = ctx
	return m.Run()
}

func findTools() error {
	tools.chromium = cmp.Or(os.Getenv("CHROMIUM"), "/usr/bin/chromium")
	tools.htmlValidate = os.Getenv("HTML_VALIDATE")
	for what, file := range map[string]string{"CHROMIUM": tools.chromium, "HTML_VALIDATE": tools.htmlValidate} {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("%s names no file: %w", what, err)
		}
	}
	axe, err := os.ReadFile(os.Getenv("AXE_JS"))
	if err != nil {
		return fmt.Errorf("AXE_JS names no file: %w", err)
	}
	tools.axe = string(axe)
	return nil
}

// startChromium starts a browser with an empty profile, or with the one in the
// directory that an option names. Certificates are not checked, since the link
// pages have made-up ones here.
func startChromium(options ...chromedp.ExecAllocatorOption) (context.Context, func(), error) {
	all := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(tools.chromium),
		chromedp.NoSandbox, // root in a container has none
		chromedp.IgnoreCertErrors,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		// A mouse, which a browser without a window finds none of.
		chromedp.Flag("blink-settings", "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"),
	)
	ctx, stopAllocator := chromedp.NewExecAllocator(context.Background(), append(all, options...)...)
	ctx, stopBrowser := chromedp.NewContext(ctx)
	stop := func() {
		stopBrowser()
		stopAllocator()
	}
	if err := chromedp.Do(ctx); err != nil {
		stop()
		return nil, nil, err
	}
	return ctx, stop, nil
}
