package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"waxwing/internal/server"
)

// backupVerb copies the embedded store to a new file, also while the server runs. A
// copy of the file alone would lack what the write-ahead log still holds: mail that
// was answered with 250.
func (p *program) backupVerb() verb {
	return verb{use: "backup FILE", short: "copy the embedded store to a new file, also while it is in use", example: "backup /var/backups/waxwing.db",
		run: onOne(p, filepath.Abs, func(ctx context.Context, o *opened, to string) error {
			err := o.store.Backup(ctx, to)
			if errors.Is(err, fs.ErrPermission) {
				return fmt.Errorf("%w: this command runs as %s, the user who has the store, and writes as that user", err, server.UserName(os.Geteuid()))
			}
			if err != nil {
				return err
			}
			info, err := os.Stat(to)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "the store is in %s, %d octets; the configuration and its keys are to be kept beside it\n", to, info.Size())
			return err
		})}
}
