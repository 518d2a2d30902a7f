package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/minidoor/minidoor/conf"
	"github.com/minidoor/minidoor/object"
)

// command is what the program does in place of serving: it writes what it finds to w.
type command func(ctx context.Context, store *object.Store, w io.Writer) error

func (o *options) defineCommands(flags *flag.FlagSet) {
	flags.BoolFunc("check", "report the state of the database and of the adopted users, and exit", func(string) error {
		return o.setCommand(check)
	})
	flags.BoolFunc("adopt", "look at all users of the Casdoor beside once more, adopt those who can be, and exit",
		func(string) error { return o.setCommand(adoptAgain) })
	flags.Func("assign", "decide that an OpenID belongs to a user, as in `owner/name=OpenID`, and exit",
		func(decision string) error {
			user, openID, ok := strings.Cut(decision, "=")
			owner, name, ok2 := strings.Cut(user, "/")
			if !ok || !ok2 || owner == "" || name == "" || openID == "" {
				return errors.New("want owner/name=OpenID")
			}
			return o.setCommand(func(ctx context.Context, store *object.Store, w io.Writer) error {
				if err := store.Assign(ctx, owner, name, openID); err != nil {
					return err
				}
				_, err := fmt.Fprintf(w, "OpenID %s belongs to user %s\n", openID, user)
				return err
			})
		})
}

func (o *options) setCommand(c command) error {
	if o.command != nil {
		return errors.New("another command is given already")
	}
	o.command = c
	return nil
}

func runCommand(ctx context.Context, c command, cfg *conf.Config, log *slog.Logger, p process) error {
	if cfg.Remote() {
		return errors.New("there is no database in remote mode")
	}
	store, _, err := object.Open(ctx, storeConfig(cfg, log))
	if err != nil {
		return err
	}
	defer store.Close()
	return c(ctx, store, p.stdout)
}

// backup does without a store: to open one may upgrade the schema, and back-ups are made before upgrades too.
func backup(ctx context.Context, file string, cfg *conf.Config, w io.Writer) error {
	if cfg.Remote() {
		return errors.New("there is no database in remote mode")
	}
	if err := object.Backup(ctx, storeConfig(cfg, nil), file); err != nil {
		return fmt.Errorf("back-up: %w", err)
	}
	fmt.Fprintf(w, "Backed up into %s\n", file)
	if len(cfg.SealKeys) == 0 {
		fmt.Fprintf(w, "It does not hold the seal key. Keep %s too, in another place: "+
			"the two together open all SessionKeys\n", cfg.SealKeyFile)
	}
	return nil
}

// check reports; what an admin has to decide is an error.
func check(ctx context.Context, store *object.Store, w io.Writer) error {
	if !store.Beside() {
		_, err := fmt.Fprintln(w, "ok: the database is minidoor's own")
		return err
	}
	fmt.Fprintln(w, "ok: the database is a Casdoor's")
	a, err := store.AdoptionState(ctx)
	if err != nil {
		return err
	}
	switch {
	case a.Done:
		fmt.Fprintf(w, "ok: users are adopted: %d of %d\n", a.Adopted, a.Users)
	default:
		fmt.Fprintf(w, "open: users are adopted at the next start: %d of %d seen\n", a.Seen, a.Users)
	}
	conflicts, err := store.Conflicts(ctx)
	if err != nil {
		return err
	}
	for _, c := range conflicts {
		fmt.Fprintf(w, "conflict: organization %s, OpenID %s: %s\n", c.Organization, c.OpenID, c.Reason)
	}
	if len(conflicts) > 0 {
		return fmt.Errorf("%d OpenIDs cannot sign in until you decide whose they are: mend the users in Casdoor and run "+
			"minidoor -adopt, or run minidoor -assign owner/name=OpenID", len(conflicts))
	}
	return nil
}

func adoptAgain(ctx context.Context, store *object.Store, w io.Writer) error {
	if !store.Beside() {
		return errors.New("the database is minidoor's own: there is no Casdoor to adopt users from")
	}
	if err := store.AdoptAgain(ctx); err != nil {
		return err
	}
	if _, err := store.Adopt(ctx, adoptionProgress(w)); err != nil {
		return err
	}
	return check(ctx, store, w)
}

// adoptionProgress writes a line every second, and one at the end.
func adoptionProgress(w io.Writer) func(object.Adoption) {
	var last time.Time
	return func(a object.Adoption) {
		if !a.Done && time.Since(last) < time.Second {
			return
		}
		last = time.Now()
		fmt.Fprintf(w, "Adopting Casdoor's users: %d of %d seen, %d adopted, %d conflicts\n",
			a.Seen, a.Users, a.Adopted, a.Conflicts)
	}
}
