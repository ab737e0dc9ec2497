use std::ops::Range;

use futures_util::future::try_join_all;
use openkv_engine::{AtomicWrite, Consistency, Database, Delivery, Enqueue, Key, Read, ReadOptions, Value};

use crate::store::{IN_FLIGHT, LIMIT, Result, Store, VALUE, in_flight, key, selector, written};

impl Store for Database {
    async fn set(&self, number: u64) -> Result {
        Ok(Database::set(self, written(number), Value::Bytes(VALUE.to_vec())).await?)
    }

    async fn set_all(&self, numbers: Range<u64>) -> Result {
        in_flight(numbers, async |number| Store::set(self, number).await).await
    }

    async fn get(&self, number: u64, is_eventual: bool) -> Result<bool> {
        let consistency = if is_eventual { Consistency::Eventual } else { Consistency::Strong };
        let key = key(crate::store::LISTS[0], number);
        let options = ReadOptions::default().consistency(consistency);
        let entries = self.read(&[Read::Key(&key)], options).await?;
        Ok(entries.iter().flatten().any(|entry| entry.value.is_some()))
    }

    async fn list(&self, size: u64, is_reverse: bool) -> Result<usize> {
        let list = Database::list(self, selector(size)).limit(LIMIT);
        let mut list = if is_reverse { list.reverse() } else { list };
        let mut count = 0;
        while list.next().await.transpose()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    async fn watch(&self, changes: u64) -> Result {
        let key = Key::from(["watched"]);
        Database::set(self, key.clone(), Value::U64(0)).await?;
        let mut watch = Database::watch(self, std::slice::from_ref(&key))?;
        watch.next().await.ok_or("the watch has ended")??;
        for number in 1..=changes {
            Database::set(self, key.clone(), Value::U64(number)).await?;
            let entries = watch.next().await.ok_or("the watch has ended")??;
            if entries[0].as_ref().map(|entry| &entry.value) != Some(&Value::U64(number)) {
                return Err("a change was not reported".into());
            }
        }
        Ok(())
    }

    async fn queue(&self, messages: u64) -> Result {
        let enqueue = |_| self.write(AtomicWrite::new().enqueue(Enqueue::new(VALUE.to_vec())));
        for _ in 0..messages / IN_FLIGHT as u64 {
            try_join_all((0..IN_FLIGHT).map(enqueue)).await?;
        }
        let mut handled = 0;
        while handled < messages {
            let deliveries = self.dequeue().await?;
            handled += deliveries.len() as u64;
            deliveries.iter().for_each(Delivery::start);
            try_join_all(deliveries.into_iter().map(Delivery::done)).await?;
        }
        Ok(())
    }
}
