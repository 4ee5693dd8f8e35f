fn main() {
    let a: Vec<String> = std::env::args().collect();
    let p = std::path::Path::new(&a[1]);
    let cas = cas::Cas::open(&p.join("objects"), &p.join("tmp"), cas::CasOptions::default()).unwrap();
    let f = std::fs::File::open(&a[2]).unwrap();
    if a.get(3).is_some_and(|x| x == "out") {
        let id = { use std::str::FromStr; entities::ObjectId::from_str(&std::fs::read_to_string(p.join("id")).unwrap()).unwrap() };
        cas.checkout_file(&id, std::path::Path::new(&a[4]), false).unwrap();
        return;
    }
    let t = std::time::Instant::now();
    let b = cas.batch();
    let s = b.put_file(&f).unwrap();
    let x = t.elapsed();
    b.commit().unwrap();
    println!("  put {x:?} committed {:?}", t.elapsed());
    std::fs::write(p.join("id"), s.object.to_string()).unwrap();
}
