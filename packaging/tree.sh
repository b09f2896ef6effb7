#!/bin/bash
# Installs, upgrades, removes and purges the package in a bare Debian tree, as root, in
# namespaces of its own: nothing of it is left, and the tree stays as it is.
#
#	bash packaging/tree.sh OLD.deb NEW.deb [TREE]
set -euo pipefail
old=$(realpath "$1") new=$(realpath "$2") tree=${3:-${WAXWING_BOOKWORM:-/var/tmp/waxwing-bookworm}}
[ -x "$tree/usr/bin/dpkg" ] || { echo "no Debian tree in $tree: debootstrap --variant=minbase --include=ca-certificates bookworm $tree" >&2; exit 1; }
if [ -z "${INSIDE:-}" ]; then
	INSIDE=yes exec unshare --mount --net --pid --fork --kill-child bash "$0" "$old" "$new" "$tree"
fi

mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$tree,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
mount -t proc proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev
ip link set lo up
cp "$old" /mnt/root/tmp/old.deb
cp "$new" /mnt/root/tmp/new.deb
# No service starts in a tree.
printf '#!/bin/sh\nexit 101\n' >/mnt/root/usr/sbin/policy-rc.d
chmod +x /mnt/root/usr/sbin/policy-rc.d
echo 'nameserver 127.0.0.1' >/mnt/root/etc/resolv.conf

step() { echo "-- $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
clean=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive)
in_tree() { chroot /mnt/root "${clean[@]}" "$@"; }
has() { in_tree test "$@" || fail "not so: $*"; }
hasnt() { ! in_tree test "$@" || fail "should not be so: $*"; }
listing() { (cd /mnt/root && find etc usr var -not -path 'var/lib/dpkg/*' -not -path 'var/log/*' -not -path 'var/cache/*' -not -name '*.pyc' -printf '%p %y %m\n' | sort); }
before=$(listing)

step install
in_tree dpkg -i /tmp/old.deb >/dev/null
in_tree getent passwd waxwing | grep -q ':/var/lib/waxwing:/usr/sbin/nologin$' || fail "the user waxwing"
[ "$(in_tree stat -c '%U %G %a' /var/lib/waxwing)" = "waxwing waxwing 700" ] || fail "the directory of the store"
[ "$(in_tree readlink -f /usr/sbin/sendmail)" = /usr/bin/waxwing ] || fail "sendmail"
[ "$(in_tree readlink -f /usr/bin/mailq)" = /usr/bin/waxwing ] || fail "mailq"
for path in /usr/lib/systemd/system/waxwing.service /usr/lib/sysusers.d/waxwing.conf /usr/lib/tmpfiles.d/waxwing.conf \
	/usr/share/bash-completion/completions/waxwing /usr/share/man/man1/waxwing-quickstart.1.gz /usr/share/doc/waxwing/copyright; do has -s "$path"; done
in_tree waxwing version | grep -qx "waxwing $(dpkg-deb -f "$old" Version)" || fail "the version"
in_tree mailq | grep -q 'Mail queue is empty' || fail "mailq where no server was set up"

step "set up"
in_tree waxwing quickstart --hostname mx.example.org you@example.org >/mnt/said
grep -q 'IN	TLSA	3 1 1 ' /mnt/said || fail "no records were printed"
[ "$(in_tree stat -c '%U %G %a' /etc/waxwing/waxwing.toml)" = "root waxwing 640" ] || fail "the configuration's owner"
[ -z "$(in_tree find /var/lib/waxwing ! -user waxwing)" ] || fail "files of the store belong to others"
hasnt -e /etc/systemd/system/waxwing.service
in_tree waxwing config check >/dev/null
in_tree waxwing domain list | grep -q example.org || fail "root's command finds no store"

# As the unit starts it: not root, with one capability, on the real ports.
serve() {
	chroot /mnt/root "${clean[@]}" setpriv --reuid waxwing --regid waxwing --init-groups --inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service \
		--bounding-set=-all,+net_bind_service --no-new-privs waxwing serve 2>/mnt/log &
	server=$!
	for _ in $(seq 100); do
		if grep -q msg=serving /mnt/log; then return; fi
		sleep 0.1
	done
	cat /mnt/log >&2
	fail "the server does not start"
}
greeting() { exec 3<>"/dev/tcp/127.0.0.1/$1" && head -1 <&3; exec 3>&-; }

step "serve as the unit does"
in_tree install -d -o waxwing -g waxwing /run/waxwing
serve
greeting 25 | grep -q '^220 mx.example.org ' || fail "no greeting at port 25"
printf 'Subject: from cron\n\nhello\n' | in_tree sendmail root || fail "sendmail"
for _ in $(seq 50); do
	in_tree waxwing mail list you | grep -q you@example.org && break
	sleep 0.1
done
in_tree waxwing mail list you | grep -q you@example.org || fail "the mail of cron did not arrive"
kill -TERM "$server"; wait "$server" || fail "the server ends with an error: $(tail -3 /mnt/log)"

step upgrade
in_tree dpkg -i /tmp/new.deb >/dev/null
in_tree waxwing version | grep -qx "waxwing $(dpkg-deb -f "$new" Version)" || fail "the new version"
in_tree waxwing mail list you | grep -q you@example.org || fail "mail is gone after the upgrade"
serve
greeting 25 | grep -q '^220 ' || fail "no greeting after the upgrade"
kill -TERM "$server"; wait "$server" || fail "the server ends with an error"

step remove
in_tree dpkg -r waxwing >/dev/null
hasnt -e /usr/bin/waxwing
hasnt -L /usr/sbin/sendmail
has -e /etc/waxwing/waxwing.toml
has -e /var/lib/waxwing/waxwing.db

step "purge: mail and keys stay, and it is said"
in_tree dpkg -P waxwing >/mnt/said
grep -q '/var/lib/waxwing is not empty and stays' /mnt/said || fail "nothing is said of the mail"
has -e /var/lib/waxwing/waxwing.db
in_tree rm -r /var/lib/waxwing /etc/waxwing

step "install and purge without a set-up: nothing is left"
in_tree dpkg -i /tmp/new.deb >/dev/null
in_tree dpkg -P waxwing >/dev/null 2>&1
in_tree userdel waxwing 2>/dev/null || true
after=$(listing)
left=$(diff <(echo "$before") <(echo "$after") | grep -vE ' (etc|var|usr)(/lib|/alternatives|/backups)? |etc/(passwd|group|shadow|gshadow|subuid|subgid)-? |^[0-9,acd]+$|^---$' || true)
[ -z "$left" ] || fail "left after the purge:
$left"

step "beside another mail server's sendmail"
printf '#!/bin/sh\n' >/mnt/root/usr/sbin/sendmail
in_tree dpkg -i /tmp/new.deb >/dev/null
hasnt -L /usr/sbin/sendmail
in_tree dpkg -P waxwing >/dev/null 2>&1
has -f /usr/sbin/sendmail
in_tree ln -sf exim4 /usr/sbin/sendmail
in_tree dpkg -i /tmp/new.deb >/dev/null
in_tree dpkg -P waxwing >/dev/null 2>&1
[ "$(in_tree readlink /usr/sbin/sendmail)" = exim4 ] || fail "Exim's sendmail is gone"
echo "the package is in order"
