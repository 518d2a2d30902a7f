package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/minidoor/minidoor/conf"
	"github.com/minidoor/minidoor/object"
)

// command is what the program does in place of serving.
type command func(ctx context.Context, c workplace) error

// workplace is what a command works with.
type workplace struct {
	cfg   *conf.Config
	store *object.Store
	log   *slog.Logger
	w     io.Writer
}

func (o *options) defineCommands(flags *flag.FlagSet) {
	flags.BoolFunc("check", "try the settings: database, Redis, WeChat, certs, clock and adopted users; report, change "+
		"nothing, and exit",
		func(string) error {
			o.check = true
			return o.setCommand(check)
		})
	flags.BoolFunc("adopt", "look at all users of the Casdoor beside once more, adopt those who can be, and exit",
		func(string) error { return o.setCommand(adoptAgain) })
	flags.BoolFunc("reseal", "seal all SessionKeys with the first key of sealKey, so that old keys can go, and exit",
		func(string) error { return o.setCommand(reseal) })
	flags.Func("assign", "decide that an OpenID belongs to a user, as in `owner/name=OpenID`, and exit",
		func(decision string) error {
			user, openID, ok := strings.Cut(decision, "=")
			owner, name, ok2 := strings.Cut(user, "/")
			if !ok || !ok2 || owner == "" || name == "" || openID == "" {
				return errors.New("want owner/name=OpenID")
			}
			return o.setCommand(func(ctx context.Context, c workplace) error {
				err := needCasdoor(c.store)
				if err == nil {
					err = c.store.Assign(ctx, owner, name, openID)
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.w, "OpenID %s belongs to user %s\n", openID, user)
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
	database := storeConfig(cfg, log)
	if err := needStarted(ctx, database); err != nil {
		return err
	}
	store, first, err := object.Open(ctx, database)
	if err != nil {
		return err
	}
	defer store.Close()
	tellFirstStart(p.stdout, first)
	return c(ctx, workplace{cfg, store, log, p.stdout})
}

// needStarted is an error where no server has been started on the database yet: a command is not to make what a start
// does, on a name that may be misspelled.
func needStarted(ctx context.Context, database object.StoreConfig) error {
	look, err := object.OpenAsItIs(ctx, database)
	if missing, ok := errors.AsType[object.NotMadeError](err); ok {
		return fmt.Errorf("there is no database yet: %w", missing)
	}
	if err != nil {
		return err
	}
	defer look.Close()
	if look.Bare() {
		return errors.New("there are no tables of minidoor's yet: they are made at the first start")
	}
	return nil
}

// backup does without a store: to open one may upgrade the schema, and back-ups are made before upgrades too.
func backup(ctx context.Context, file string, cfg *conf.Config, w io.Writer) error {
	if cfg.Remote() {
		return errors.New("there is no database in remote mode")
	}
	if err := object.Backup(ctx, storeConfig(cfg, nil), file); err != nil {
		return fmt.Errorf("back-up: %w", err)
	}
	// The settings here may not be the server's: a systemd unit, say, names the key in its environment.
	fmt.Fprintf(w, "Backed up into %s\n"+
		"It does not hold the seal key. Keep the server's sealKey, or the file that its sealKeyFile names, too, "+
		"in another place: the two together open all SessionKeys\n", file)
	return nil
}

// checkAdoption reports; what an admin has to decide is an error.
func checkAdoption(ctx context.Context, c workplace) error {
	store, w := c.store, c.w
	if !store.Beside() {
		_, err := fmt.Fprintln(w, "ok: the database is minidoor's own")
		return err
	}
	fmt.Fprintln(w, "ok: the database is a Casdoor's")
	if store.Bare() {
		_, err := fmt.Fprintln(w, "open: users are adopted at the first start")
		return err
	}
	a, err := store.AdoptionState(ctx)
	if err != nil {
		return err
	}
	if a.Done {
		fmt.Fprintf(w, "ok: users are adopted: %d of %d\n", a.Adopted, a.Users)
	} else {
		fmt.Fprintf(w, "open: users are adopted at the next start: %d of %d seen\n", a.Seen, a.Users)
	}
	conflicts, err := store.Conflicts(ctx)
	if err != nil {
		return err
	}
	for _, open := range conflicts {
		fmt.Fprintf(w, "conflict: %s\n", open)
	}
	if len(conflicts) > 0 {
		return fmt.Errorf("%d OpenIDs cannot sign in until you decide whose they are: mend the users in Casdoor and run "+
			"minidoor -adopt, or run minidoor -assign owner/name=OpenID", len(conflicts))
	}
	return nil
}

// needCasdoor is an error where no users are adopted: what is decided about them would have no effect.
func needCasdoor(store *object.Store) error {
	if store.Beside() {
		return nil
	}
	return errors.New("the database is minidoor's own: there is no Casdoor to adopt users from")
}

func adoptAgain(ctx context.Context, c workplace) error {
	if err := needCasdoor(c.store); err != nil {
		return err
	}
	if err := c.store.AdoptAgain(ctx); err != nil {
		return err
	}
	if _, err := c.store.Adopt(ctx, adoptionProgress(c.w)); err != nil {
		return err
	}
	return checkAdoption(ctx, c)
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

// reseal reports; a SessionKey whose key is missing is an error.
func reseal(ctx context.Context, c workplace) error {
	keys, err := c.cfg.ReadSealKeys() // a key that is made here would open nothing
	if err != nil {
		return err
	}
	sealer, err := object.NewSealer(keys)
	if err != nil {
		return err
	}
	r, err := c.store.Reseal(ctx, sealer, resealProgress(c.w))
	fmt.Fprintf(c.w, "%d SessionKeys seen, %d sealed with the first key\n", r.Seen, r.Resealed)
	if r.Damaged > 0 {
		fmt.Fprintf(c.w, "damaged: %d do not open; their users' next sign-in brings new ones\n", r.Damaged)
	}
	for _, id := range slices.Sorted(maps.Keys(r.Unknown)) {
		fmt.Fprintf(c.w, "unknown: %d are sealed with the key of id %s, which sealKey lacks\n", r.Unknown[id], id)
	}
	if err == nil && len(r.Unknown) > 0 {
		err = errors.New("add the missing keys to sealKey and run minidoor -reseal again, or let their users sign in anew")
	}
	return err
}

// resealProgress writes a line every second.
func resealProgress(w io.Writer) func(object.Resealing) {
	last := time.Now()
	return func(r object.Resealing) {
		if time.Since(last) < time.Second {
			return
		}
		last = time.Now()
		fmt.Fprintf(w, "Sealing SessionKeys: %d seen, %d sealed with the first key\n", r.Seen, r.Resealed)
	}
}
