use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const FILE: &str = r#"
# ProxySQL's own file begins like this
datadir="/var/lib/proxysql"  // and has
admin_variables=
{
	admin_credentials="admin:admin" ";radmin:" "radmin"
	/* several
	   lines */
	refresh_interval : 2000;
	read_only=false
}
mysql_servers =
(
	{ address="127.0.0.1" , port=3306 , hostgroup=0x0A, max_connections=9999999999L },
	{ address = "/tmp/mysql.sock"; port = 0; weight=-1; comment="tab\there \\ \"q\" \x41 \s \d+ é" }
)
numbers=[1, 2.5, 1e3,];
empty=()
nothing={}
"#;

fn value<'a>(settings: &'a [Setting], name: &str) -> &'a Setting {
    settings.iter().find(|setting| setting.name == name).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn a_file_is_read() {
    let settings = parse(FILE).unwrap();
    let names: Vec<_> = settings.iter().map(|setting| (setting.name.as_str(), setting.line)).collect();
    assert_eq!(
        names,
        [
            ("datadir", 3),
            ("admin_variables", 4),
            ("mysql_servers", 12),
            ("numbers", 17),
            ("empty", 18),
            ("nothing", 19)
        ]
    );
    let Node::Group(admin) = &value(&settings, "admin_variables").value else { panic!("a group") };
    assert_eq!(value(admin, "admin_credentials").value, Node::Text("admin:admin;radmin:radmin".into()));
    assert_eq!(value(admin, "refresh_interval").line, 9);
    assert_eq!(value(admin, "read_only").value, Node::Flag(false));
    let Node::List(servers) = &value(&settings, "mysql_servers").value else { panic!("a list") };
    let Node::Group(first) = &servers[0].value else { panic!("a group") };
    assert_eq!(value(first, "hostgroup").value, Node::Integer(10));
    assert_eq!(value(first, "max_connections").value, Node::Integer(9_999_999_999));
    let Node::Group(second) = &servers[1].value else { panic!("a group") };
    assert_eq!(servers[1].line, 15);
    assert_eq!(value(second, "weight").value, Node::Integer(-1));
    assert_eq!(value(second, "comment").value, Node::Text("tab\there \\ \"q\" A \\s \\d+ é".into()));
    let Node::List(numbers) = &value(&settings, "numbers").value else { panic!("a list") };
    let numbers: Vec<_> = numbers.iter().map(|item| item.value.clone()).collect();
    assert_eq!(numbers, [Node::Integer(1), Node::Float(2.5), Node::Float(1000.0)]);
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, line, word) in [
        ("a=1\nb", 2, "'=' is missing"),
        ("a=\n", 2, "the file ends"),
        ("a={\nb=1", 2, "opened on line 1"),
        ("a=(1 2)", 1, "')' is missing before '2'"),
        ("a=(1\n]", 2, "')' is missing before ']'"),
        ("a=\"x\n\n", 1, "does not end"),
        ("a=word", 1, "strings stand in quotes"),
        ("a=;", 1, "cannot begin with ';'"),
        ("a=1\n\na=2", 3, "second time"),
        ("/* no end", 1, "comment"),
        ("@include \"b.cnf\"", 1, "@include"),
        ("a=1\n}", 2, "cannot begin with '}'"),
        ("a=\"\\xff\"", 1, "UTF-8"),
        ("a=99999999999999999999", 1, ""),
    ] {
        match parse(text) {
            Err(error) => {
                assert_eq!(error.line, line, "{text}: {error}");
                assert!(error.text.contains(word), "{text}: {error}");
            }
            // Beyond 64 bits there are only floats.
            Ok(settings) => assert!(matches!(settings[0].value, Node::Float(_)), "{text}"),
        }
    }
    let deep = format!("a={}{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(parse(&deep).unwrap_err().text.contains("inside each other"));
}

#[test]
fn tables_are_written_row_by_row() {
    let mut writer = Writer::default();
    let set = |name: &str, value| Setting { name: name.into(), line: 0, value };
    writer.setting("v", &Node::Group(vec![set("threads", Node::Integer(4))]));
    let _ = writer.rows("t", |row| {
        row(&[set("port", Node::Integer(3306)), set("comment", Node::Text("a \"b\"".into()))]);
        row(&[]);
        Ok::<_, Infallible>(())
    });
    let _ = writer.rows("none", |_| Ok::<_, Infallible>(()));
    assert_eq!(
        writer.finish(),
        "v=\n{\n\tthreads=4\n}\n\nt=\n(\n\t{\n\t\tport=3306\n\t\tcomment=\"a \\\"b\\\"\"\n\t},\n\t{\n\t}\n)\n\nnone=\n(\n)\n\n"
    );
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Node::Integer),
        any::<bool>().prop_map(Node::Flag),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Node::Float),
        any::<String>().prop_map(Node::Text),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let item = inner.clone().prop_map(|value| Item { line: 0, value });
        let group = prop::collection::btree_map("[a-z][a-z0-9_]{0,6}", inner, 0..4);
        prop_oneof![
            prop::collection::vec(item, 0..4).prop_map(Node::List),
            group.prop_map(|settings| {
                let settings = settings.into_iter().map(|(name, value)| Setting { name, line: 0, value });
                Node::Group(settings.collect())
            }),
        ]
    })
}

fn without_lines(value: Node) -> Node {
    match value {
        Node::Group(settings) => {
            let bare = |setting: Setting| Setting { line: 0, value: without_lines(setting.value), ..setting };
            Node::Group(settings.into_iter().map(bare).collect())
        }
        Node::List(items) => {
            let bare = |item: Item| Item { line: 0, value: without_lines(item.value) };
            Node::List(items.into_iter().map(bare).collect())
        }
        scalar => scalar,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(value in node()) {
        let mut writer = Writer::default();
        writer.setting("a", &value);
        let text = writer.finish();
        let read = parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(without_lines(read[0].value.clone()), value);
    }

    #[test]
    fn no_text_is_too_odd(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn nor_is_one_of_its_own_characters(text in "[a-z0-9=:;,(){}\\[\\]\"\\\\ \n/*#@.xL+-]{0,60}") {
        let _ = parse(&text);
    }
}
