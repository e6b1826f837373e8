# The scenario in Perl with DBD::MariaDB, which is libmariadb. Arguments: host, port, user, password, TLS, compression.
use strict;
use warnings;
use utf8;
use DBI;

my ($host, $port, $user, $password, $tls, $compress) = @ARGV;
my $word = "žluťoučký 🐬 日本";

sub connect_as {
    my ($secret) = @_;
    my $source = "DBI:MariaDB:database=test;host=$host;port=$port;mariadb_local_infile=1;mariadb_compression=$compress";
    $source .= ";mariadb_ssl=1;mariadb_ssl_optional=1;mariadb_ssl_verify_server_cert=0" if $tls;
    return DBI->connect($source, $user, $secret, {RaiseError => 1, PrintError => 0, mariadb_server_prepare => 1});
}

sub fails_with {
    my ($code, $act) = @_;
    eval { $act->(); 1 } and die "no error $code";
    die "not $code: " . DBI->errstr unless DBI->err == $code;
}

my $db = connect_as($password);
$db->do('create table perl_stack (id int primary key, v varchar(40) character set utf8mb4, b longblob)');
for ([1, 1], [2, 0]) {
    my ($id, $keep) = @$_;
    $db->begin_work;
    $db->do("insert into perl_stack values (?, ?, '')", undef, $id, $word);
    $keep ? $db->commit : $db->rollback;
}
my ($count, $text) = $db->selectrow_array('select count(*), max(v) from perl_stack where id < ?', undef, 9);
die "$count, $text" unless $count == 1 && $text eq $word;
fails_with(1146, sub { $db->selectall_arrayref('select * from nothing_here') });
my $blob = '0123456789abcdef' x 1_064_000;
$db->do('update perl_stack set b = ? where id = ?', undef, $blob, 1);
my ($back) = $db->selectrow_array('select b from perl_stack where id = ?', undef, 1);
die 'the blob' unless $back eq $blob;
open(my $file, '>:utf8', 'perl_stack.txt') or die;
print $file "$_\t$word\n" for 100 .. 59_999;
close $file;
{
    local $db->{mariadb_server_prepare} = 0;
    $db->do("load data local infile 'perl_stack.txt' into table perl_stack character set utf8mb4 (id, v)");
}
($count, $text) = $db->selectrow_array('select count(*), max(v) from perl_stack');
die "$count, $text" unless $count == 59_901 && $text eq $word;
$db->do('drop table perl_stack');
fails_with(1045, sub { connect_as('wrong') });
print "ok\n";
