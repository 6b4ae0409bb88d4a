// Command tenant runs a local Auth0 tenant with stand-ins for Google and
// GitHub, and if asked for Microsoft and Slack, so that Token Vault can be tried
// without any account anywhere.
//
//	go run ./examples/tenant [-listen 127.0.0.1:8484] [-google 127.0.0.1:8485] [-github 127.0.0.1:8486]
//		[-microsoft 127.0.0.1:8487] [-slack 127.0.0.1:8488] [-config tenant.json] [-tls [-cert tenant.pem]] [-v]
//
// It is ready when /.well-known/openid-configuration answers 200. The printed
// export lines are what the top-level Caddyfile needs. A config file replaces
// the built-in users, clients and connections; package auth0test describes it,
// and the controls below /_tenant.
//
// With -tls everything is https, as Auth0's own SDKs want it. The certificate is made
// at the start; -cert writes it to a file, for clients to trust.
//
// With -v it prints each request, and why it was refused if it was, also where the answer
// does not tell.
package main

import (
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		stop()
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "tenant:", err)
		stop()
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	listen, google, github, microsoft, slack string
	config, cert                             string
	tls, printConfig, verbose                bool
}

// seeds are the built-in configuration, with a connection for each stand-in.
func (o *options) seeds() auth0test.Config {
	var further []string
	if o.microsoft != "" {
		further = append(further, "windowslive")
	}
	if o.slack != "" {
		further = append(further, "oauth2")
	}
	return auth0test.Seeds(further...)
}

// errUsage is a mistake in the flags, which the flag package has reported.
var errUsage = errors.New("usage")

func parseFlags(args []string, errOut io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("tenant", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8484", "address of the tenant; the issuer is http://<address>/, or https:// with -tls")
	flags.StringVar(&o.google, "google", "127.0.0.1:8485", "address of the Google stand-in")
	flags.StringVar(&o.github, "github", "127.0.0.1:8486", "address of the GitHub stand-in")
	flags.StringVar(&o.microsoft, "microsoft", "", "address of the Microsoft stand-in, with the connection windowslive; default: there is none")
	flags.StringVar(&o.slack, "slack", "", "address of the Slack stand-in, with the connection sign-in-with-slack; default: there is none")
	flags.StringVar(&o.config, "config", "", "tenant.json; replaces the built-in users, clients and connections")
	flags.BoolVar(&o.tls, "tls", false, "speak https, with a certificate made now")
	flags.StringVar(&o.cert, "cert", "", "file to write that certificate to, in PEM")
	flags.BoolVar(&o.verbose, "v", false, "print each request, and the rule that refused it")
	flags.BoolVar(&o.printConfig, "print-config", false, "print the built-in configuration as a tenant.json and exit")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, err
	case err != nil:
		return o, errUsage
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.cert != "" && !o.tls:
		return o, errors.New("-cert is for -tls")
	}
	return o, nil
}

// run serves until ctx is done.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parseFlags(args, errOut)
	if err != nil {
		return err
	}
	if o.printConfig {
		return printConfig(out, o.seeds())
	}
	cfg := o.seeds()
	if o.config != "" {
		if cfg, err = readConfig(o.config); err != nil {
			return err
		}
	}
	start := auth0test.Listen
	if o.tls {
		start = auth0test.ListenTLS
	}
	server, err := start(cfg, o.listen, o.google, o.github, o.microsoft, o.slack)
	if err != nil {
		return err
	}
	defer server.Close()
	if o.cert != "" {
		if o.cert, err = writeCertificate(o.cert, server); err != nil {
			return err
		}
	}
	if o.verbose {
		server.OnRequest(func(r auth0test.Request) { printRequest(out, r) })
	}
	printTenant(out, server, o.cert)
	<-ctx.Done()
	return nil
}

// writeCertificate returns where the certificate is for programs that run elsewhere.
func writeCertificate(file string, s *auth0test.Server) (path string, err error) {
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o644); err != nil { //nolint:gosec // everybody may read a certificate
		return "", err
	}
	return filepath.Abs(file)
}

func readConfig(file string) (auth0test.Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return auth0test.Config{}, err
	}
	cfg, err := auth0test.ParseConfig(data)
	if err != nil {
		return auth0test.Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}
