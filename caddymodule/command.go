package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenvault/caddy-token-vault/caddymodule/tenantsetup"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "token-vault",
		Usage: "doctor | setup",
		Short: "Checks and sets up the Auth0 tenants of a configuration",
		Long: `
Checks whether Auth0 tenants have what the token_vault handlers of a
configuration need, or sets them up.

Both look at the tenant through Auth0's Management API, as a machine-to-machine
application: the one that the configuration names by management, or the one in
the environment variables AUTH0_MANAGEMENT_CLIENT_ID and
AUTH0_MANAGEMENT_CLIENT_SECRET.

doctor exits with 0 if nothing is wrong, and with 1 if something is. setup exits
with 0 when it has planned, whatever there is to do; with --apply it exits with 0
if that left nothing to do, and with 1 if it failed or left something to you. Both
exit with 2 if they could not run.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.SilenceErrors, cmd.Args = true, noArguments
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.AddCommand(doctorCommand(), setupCommand())
		},
	})
}

// commandFlags are what both commands take.
type commandFlags struct {
	config, adapter  string
	tenant           string
	managementID     string
	managementDomain string
}

func (f *commandFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "Caddyfile", "Configuration file")
	flags.StringVarP(&f.adapter, "adapter", "a", "", "Name of config adapter to apply")
	flags.StringVar(&f.tenant, "tenant", "", "Name of one tenant of the configuration (default all)")
	flags.StringVar(&f.managementID, "management-client-id", "", "Client id for the Management API; its secret is taken from AUTH0_MANAGEMENT_CLIENT_SECRET")
	flags.StringVar(&f.managementDomain, "management-domain", "", "The tenant's own domain, where the configuration has a custom domain")
}

func doctorCommand() *cobra.Command {
	var flags commandFlags
	var user string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor --config <path> [--user <id or e-mail>] [--json]",
		Short: "Checks what the tenants lack, and says where to change it; changes nothing",
		Args:  noArguments,
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&user, "user", "", "User id or e-mail address: shows what this person has connected")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	return running(cmd, func(ctx context.Context, out io.Writer, progress tenantsetup.Progress) (int, error) {
		needs, err := flags.needs(false)
		if err != nil {
			return 0, err
		}
		var failed error
		reports := []*tenantsetup.Report{}
		for _, n := range needs {
			n.User = user
			report, err := tenantsetup.Examine(ctx, n, progress)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("tenant %s: %w", n.Tenant, err))
				continue
			}
			reports = append(reports, report)
		}
		progress("")
		if asJSON {
			failed = errors.Join(failed, tenantsetup.WriteJSON(out, reports))
		} else {
			tenantsetup.WriteText(out, reports)
		}
		return tenantsetup.ExitCode(reports), failed
	})
}

func setupCommand() *cobra.Command {
	var flags commandFlags
	var apply, createAgents bool
	var file string
	cmd := &cobra.Command{
		Use:   "setup --config <path> [--apply [--env-file <path>]] [--create-agent]",
		Short: "Plans, and with --apply makes, the API, clients, grants and connection settings that are missing",
		Args:  noArguments,
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&apply, "apply", false, "Make the changes")
	cmd.Flags().BoolVar(&createAgents, "create-agent", false, "Also create applications for agents in allow_clients that have none")
	cmd.Flags().StringVar(&file, "env-file", "", "Append ids and secrets to this file, which is for its owner only, instead of printing them")
	return running(cmd, func(ctx context.Context, out io.Writer, progress tenantsetup.Progress) (int, error) {
		needs, err := flags.needs(true)
		if err != nil {
			return 0, err
		}
		code := tenantsetup.ExitOK
		for _, n := range needs {
			n.CreateAgents = createAgents
			one, err := setUp(ctx, n, apply, envFile(file), out, progress)
			if err != nil {
				return 0, fmt.Errorf("tenant %s: %w", n.Tenant, err)
			}
			code = max(code, one)
		}
		return code, nil
	})
}

// setUp plans one tenant, and carries the plan out if told to.
func setUp(ctx context.Context, n *tenantsetup.Needs, apply bool, file envFile, out io.Writer, progress tenantsetup.Progress) (int, error) {
	plan, err := tenantsetup.Prepare(ctx, n, progress)
	progress("")
	if err != nil {
		return 0, err
	}
	if !apply {
		tenantsetup.WritePlan(out, plan)
		return tenantsetup.ExitOK, nil
	}
	var keep tenantsetup.Keep
	if file != "" {
		there, err := file.open()
		if err != nil {
			return 0, err
		}
		keep = func(v tenantsetup.Variables) ([]string, error) { return tenantsetup.WriteVariables(file, v, there) }
	}
	outcome := plan.Apply(ctx, progress, keep)
	progress("")
	tenantsetup.WriteOutcome(out, plan, outcome, string(file))
	return plan.ExitCode(outcome), nil
}

// errSomethingWrong makes Caddy exit with 1; what is wrong has been printed.
var errSomethingWrong = errors.New("something is wrong")

// running makes a command of a function that returns the exit code, or an error
// where it could not do what it is for.
func running(cmd *cobra.Command, run func(context.Context, io.Writer, tenantsetup.Progress) (int, error)) *cobra.Command {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(cannotRun)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		progress := tenantsetup.NewProgress(cmd.ErrOrStderr(), isTerminal(cmd.ErrOrStderr()))
		code, err := run(ctx, cmd.OutOrStdout(), progress)
		progress("")
		switch {
		case err != nil:
			return cannotRun(cmd, err)
		case code == tenantsetup.ExitWrong:
			return errSomethingWrong
		}
		return nil
	}
	return cmd
}

// cannotRun says why a command could not do what it is for, and makes Caddy exit
// with 2.
func cannotRun(cmd *cobra.Command, err error) error {
	tenantsetup.WriteError(cmd.ErrOrStderr(), err)
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return tenantsetup.ExitCannotRun, nil })(cmd, nil)
}

// noArguments refuses arguments, such as a misspelt command.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return cannotRun(cmd, fmt.Errorf("unexpected argument %q", args[0]))
	}
	return nil
}

// isTerminal tells whether a person watches.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
