# shellcheck shell=bash
# The packages as files: what they hold, what they ask for, what the linters say.

formats_tests() {
  check "deb and rpm hold the same files" same_files
  check "the same tree packs to the same bytes" same_bytes
  check "no active configuration in either" no_configuration
  check "lintian" lint_deb
  check "rpmlint" rpmlint --config "$here/rpm/rpmlint.toml" "$old_rpm"
  check "the rpm asks for nothing that EL 9 does not have" rpm_requires
  check "completions and scripts are shell" shell_syntax
  check "man pages" man_pages
}

deb_files() { dpkg-deb --fsys-tarfile "$1" | tar t | grep -v '/$' | sed 's/^\.//'; }

same_files() {
  # Each format has a place of its own for these.
  local own='/usr/share/(licenses|lintian|zsh)|/standfast/(copyright|changelog)|^/etc/standfast$'
  diff <(deb_files "$old_deb" | grep -Ev "$own" | sort) \
    <(rpm -qlp "$old_rpm" --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' | sed -n 's/^-[^ ]* //p' | grep -Ev "$own" | sort)
}

same_bytes() {
  local before
  before=$(sha256sum "$old_deb" "$old_rpm")
  "$here/build" --no-build --revision 1 >/dev/null
  diff <(echo "$before") <(sha256sum "$old_deb" "$old_rpm")
}

no_configuration() {
  ! { deb_files "$old_deb" | grep '^/etc/'; } && ! { rpm -qlp "$old_rpm" | grep '^/etc/standfast/'; }
}

lint_deb() { lintian --fail-on error,warning --allow-root "$old_deb"; }

rpm_requires() {
  local strange
  strange=$(rpm -qp --requires "$old_rpm" | grep -Ev '^(/bin/sh|systemd( >= 249)?|shadow-utils|rpmlib\(.*|rtld\(GNU_HASH\)|ld-linux-x86-64\.so\.2\(.*|lib(c|m|gcc_s)\.so\.[16]\(.*)( .*)?$' || true)
  # EL 9 has glibc 2.34.
  strange+=$(rpm -qp --requires "$old_rpm" | grep -Eo 'GLIBC_2\.(3[5-9]|[4-9][0-9])' || true)
  [ -z "$strange" ] || { echo "$strange"; return 1; }
}

shell_syntax() {
  local script
  for script in "$here"/debian/{postinst,prerm,postrm} "$here/after-upgrade"; do sh -n "$script"; done
  bash -n "$here/completions/standfast.bash" "$here/build" "$here/test"
}

man_pages() {
  local page said
  for page in "$here"/man/*.[158]; do
    said=$(LC_ALL=C.UTF-8 MANROFFSEQ='' groff -man -ww -z -Tutf8 "$page" 2>&1)
    [ -z "$said" ] || { echo "$page: $said"; return 1; }
  done
}
