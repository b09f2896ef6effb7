package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Where the filters of Postfix listen.
const (
	dkimAddr  = "127.0.0.1:26191"
	dmarcAddr = "127.0.0.1:26192"
)

// filterPrograms are what Postfix needs to verify mail, each with its package of Debian.
var filterPrograms = map[string]string{"/usr/sbin/opendkim": "opendkim", "/usr/sbin/opendmarc": "opendmarc", "/usr/bin/policyd-spf": "postfix-policyd-spf-python"}

// filtersMissing says why Postfix cannot verify mail here; empty if it can.
func filtersMissing() string {
	for path, name := range filterPrograms {
		if _, err := os.Stat(path); err != nil {
			return "Debian's package " + name + " is not installed"
		}
	}
	return ""
}

// filterFiles are the configurations of OpenDKIM, OpenDMARC and policyd-spf, with Debian's defaults
// but for what this place needs: mail from loopback is checked as that of strangers is, and
// nothing is logged, since there is no syslog.
func filterFiles(dir, resolver string) map[string]string {
	return map[string]string{
		"opendkim.conf":  "Mode v\nBackground no\nSyslog no\nOversignHeaders From\nSocket inet:" + socket(dkimAddr) + "\nInternalHosts " + dir + "/nobody\nNameservers " + resolver + "\n",
		"opendmarc.conf": "Background false\nSyslog false\nSocket inet:" + socket(dmarcAddr) + "\nIgnoreHosts " + dir + "/nobody\nRejectFailures true\nHistoryFile " + dir + "/history\n",
		"policyd.conf": "debugLevel = 0\nHELO_reject = Fail\nMail_From_reject = Fail\nPermError_reject = False\nTempError_Defer = False\n" +
			"skip_addresses = 192.0.2.1\nHeader_Type = AR\nAuthserv_Id = postfix.example\nHide_Receiver = Yes\n",
		"nobody": "192.0.2.1\n",
	}
}

// socket is how the configuration of a milter names an address.
func socket(addr string) string {
	host, port, _ := strings.Cut(addr, ":")
	return port + "@" + host
}

// verifying are the lines of main.cf for a Postfix that verifies what comes in and delivers it to a
// maildir. Mail from loopback gets no further rights.
func (p *postfix) verifying() []string {
	return []string{
		"mynetworks = 192.0.2.1/32", "smtpd_relay_restrictions = reject_unauth_destination",
		"smtpd_recipient_restrictions = check_policy_service unix:private/policyd-spf", "policyd-spf_time_limit = 3600",
		"smtpd_milters = inet:" + dkimAddr + ", inet:" + dmarcAddr, "milter_default_action = tempfail",
		"default_transport = virtual", "virtual_mailbox_domains = rcpt.example", "virtual_mailbox_maps = static:you/", "virtual_mailbox_base = " + p.mail(),
		"virtual_uid_maps = static:65534", "virtual_gid_maps = static:65534", "virtual_minimum_uid = 100",
	}
}

func (p *postfix) filterDir() string { return filepath.Join(p.o.dir, "filters") }
func (p *postfix) mail() string      { return filepath.Join(p.o.dir, "maildir") }

// startFilters writes the filters' files, and starts those that are servers of their own.
func (p *postfix) startFilters(ctx context.Context) error {
	dir := p.filterDir()
	for _, d := range []string{dir, p.mail()} {
		if err := errors.Join(os.RemoveAll(d), os.MkdirAll(d, 0o755), os.Chown(d, 65534, 65534)); err != nil {
			return err
		}
	}
	_, resolver := p.o.world()
	for name, text := range filterFiles(dir, resolver.Addr().String()) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"/usr/sbin/opendkim", "-f", "-x", dir + "/opendkim.conf"}, {"/usr/sbin/opendmarc", "-f", "-c", dir + "/opendmarc.conf"}} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		p.filters = append(p.filters, cmd)
	}
	return errors.Join(waitPort(ctx, dkimAddr), waitPort(ctx, dmarcAddr))
}

// roots are the processes whose trees are measured.
func (p *postfix) roots(master int) string {
	all := []string{strconv.Itoa(master)}
	for _, f := range p.filters {
		all = append(all, strconv.Itoa(f.Process.Pid))
	}
	return strings.Join(all, ",")
}

func (p *postfix) stopFilters() {
	for _, f := range p.filters {
		_ = f.Process.Kill() // it has nothing to lose
		_ = f.Wait()
	}
	p.filters = nil
}

// verified are the results that Authentication-Results fields of each message must have.
var verifiedResults = []string{"dkim=pass", "spf=pass", "dmarc=pass"}

// proven is an error unless all n messages are in the maildir, the last of them with its results.
func (p *postfix) proven(_ context.Context, n int) error {
	count, last := 0, ""
	err := filepath.WalkDir(filepath.Join(p.mail(), "you", "new"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			count, last = count+1, path
		}
		return err
	})
	if err != nil {
		return err
	}
	if count != n {
		return fmt.Errorf("%d of %d messages are in the mailbox", count, n)
	}
	text, err := os.ReadFile(last)
	if err != nil {
		return err
	}
	return holdsResults(string(text))
}

func holdsResults(text string) error {
	header, _, _ := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")
	for _, r := range verifiedResults {
		if !strings.Contains(header, r) {
			return fmt.Errorf("a message was not verified: it has no %s:\n%s", r, header)
		}
	}
	return nil
}
